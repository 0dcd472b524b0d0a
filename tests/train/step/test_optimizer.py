"""The optimiser: schedule, rate of the localization network, clipping, weight decay."""

import jax.numpy as jnp
import numpy as np
import pytest

from train.config import SGD, Adam, Constant, Cosine, Linear, Milestones, Staircase
from train.step.optimizer import OptimizerPart

pytestmark = pytest.mark.usefixtures("plain_numerics")

PARAMS = {
    "classifier.kernel": jnp.ones((2, 2), jnp.float32),
    "classifier.bias": jnp.ones(2, jnp.float32),
    "transformer.localization.kernel": jnp.ones((2, 2), jnp.float32),
}


def _update(config: OptimizerPart, gradient: float = 1.0) -> dict[str, np.ndarray]:
    optimizer = config.build(100).transformation
    gradients = {name: jnp.full_like(value, gradient) for name, value in PARAMS.items()}
    updates, _ = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
    return {name: np.asarray(value) for name, value in updates.items()}


def test_schedules_have_the_expected_rates() -> None:
    def rates(schedule: object, warmup: int = 0) -> list[float]:
        part = Adam(learning_rate=0.5, schedule=schedule, warmup_steps=warmup)
        return [float(part.build(100).schedule(step)) for step in (0, 5, 10, 55, 100)]

    milestones = rates(Milestones((5, 55), factor=0.1))
    np.testing.assert_allclose(milestones, [0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-5)
    assert rates(Constant()) == pytest.approx([0.5] * 5)
    assert rates(Linear()) == pytest.approx([0.5, 0.475, 0.45, 0.225, 0])
    assert rates(Cosine(), 10) == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-7)
    staircase = rates(Staircase(every=50, factor=0.1))
    assert staircase == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.005])


def test_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"optim.warmup_steps=100 .* train.steps=100"):
        Adam(warmup_steps=100).build(100)


def test_first_updates_of_sgd_and_adam() -> None:
    for part, expected in ((SGD, -0.2), (Adam, -0.1)):
        updates = _update(part(learning_rate=0.1, schedule=Constant()), 2.0)
        np.testing.assert_allclose(updates["classifier.bias"], expected, rtol=1e-5)


def test_localization_network_has_its_own_rate() -> None:
    updates = _update(SGD(0.1, Constant(), localization_rate=0.01))
    np.testing.assert_allclose(updates["classifier.kernel"], -0.1)
    np.testing.assert_allclose(updates["transformer.localization.kernel"], -0.001)


def test_clipping_bounds_the_norm_of_the_whole_gradient() -> None:
    config = SGD(1, Constant(), clip_norm=1)
    total = sum(float(np.sum(update**2)) for update in _update(config, 7.0).values())
    assert total == pytest.approx(1, rel=1e-5)


def test_weight_decay_excludes_biases() -> None:
    config = SGD(1, Constant(), weight_decay=0.5)
    updates = _update(config, 0.0)
    np.testing.assert_allclose(updates["classifier.kernel"], -0.5)
    np.testing.assert_allclose(updates["classifier.bias"], 0)
