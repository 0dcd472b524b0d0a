"""Batches: pure functions of (seed, step)."""

import numpy as np
import pytest

from train.config import TrainConfig
from train.data.batches import Batches, check_batch, steps_per_dispatch
from train.errors import UserError
from train.run.devices import make_mesh


def test_each_epoch_visits_every_example_once_in_a_new_order() -> None:
    batches = Batches(53, 10, seed=3, mesh=make_mesh())
    epochs = [[batches.indices(5 * epoch + i) for i in range(5)] for epoch in (0, 1)]
    orders = [np.concatenate([indices for indices, _ in epoch]) for epoch in epochs]
    assert [{number for _, number in epoch} for epoch in epochs] == [{0}, {1}]
    assert all(len(set(order.tolist())) == 50 for order in orders)
    assert not np.array_equal(*orders)
    again = Batches(53, 10, seed=3, mesh=make_mesh())
    np.testing.assert_array_equal(again.indices(7)[0], batches.indices(7)[0])
    other = Batches(53, 10, seed=4, mesh=make_mesh())
    assert not np.array_equal(other.indices(7)[0], batches.indices(7)[0])


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        (60, "train.batch_size=60 .* 53 training examples"),
        (9, "train.batch_size=9 .* multiple of the 4 devices"),
    ],
)
def test_batches_that_do_not_fit_are_refused(batch_size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_batch(batch_size, examples=53, devices=4)
    check_batch(8, examples=53, devices=4)


def test_steps_per_dispatch_divide_all_periods() -> None:
    run = TrainConfig(log_every=12, eval_every=24, checkpoint_every=60)
    assert steps_per_dispatch(run, "gpu") == 12
    assert steps_per_dispatch(run, "cpu") == 1
    chosen = TrainConfig(steps_per_dispatch=5)
    assert steps_per_dispatch(chosen, "cpu") == steps_per_dispatch(chosen, "tpu") == 5
