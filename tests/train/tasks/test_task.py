"""What all tasks share: metrics and penalties of spatial transformers."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn
from stn_jax.nn import Warp
from train.step.state import Network
from train.tasks.task import get_warps, warp_metrics, warp_penalty

pytestmark = pytest.mark.usefixtures("plain_numerics")


def network(*transforms: Any) -> Network:
    identities = tuple(np.asarray(transform.identity(), np.float32) for transform in transforms)
    return Network(None, {}, identities, False, dict)  # type: ignore[arg-type]


def warp(theta: Any, transform: Any) -> Warp:
    theta = jnp.asarray(theta, jnp.float32)
    return Warp(jnp.zeros((len(theta), 2, 2, 1)), theta, transform.grid(theta, (2, 2)))


STILL, MOVED = (0.0, 0.0), (3.0, 4.0)
SHIFT = stn.Translation()


def test_metrics_are_means_over_the_transformers_of_an_example() -> None:
    prediction = SimpleNamespace(
        warps=(warp([STILL, MOVED], SHIFT), warp([STILL, STILL], SHIFT)),
    )
    metrics = warp_metrics(network(SHIFT, SHIFT))
    assert metrics["outside"].function(prediction, None).tolist() == [0, 0.5]
    assert metrics["theta_distance"].function(prediction, None).tolist() == [0, 2.5]


def test_each_transformer_is_measured_from_its_own_identity() -> None:
    zoom = stn.Attention()
    warps = (warp([MOVED], SHIFT), warp([(1.0, 0, 0)], zoom))
    metrics = warp_metrics(network(SHIFT, zoom))
    prediction = SimpleNamespace(warps=warps)
    assert metrics["theta_distance"].function(prediction, None).tolist() == [2.5]


def test_one_transformer_may_be_called_several_times() -> None:
    warps = tuple(warp([MOVED], SHIFT) for _ in range(3))
    metrics = warp_metrics(network(SHIFT))
    prediction = SimpleNamespace(warps=warps)
    assert metrics["theta_distance"].function(prediction, None).tolist() == [5]


def test_distances_are_not_reported_of_transformers_that_are_not_found() -> None:
    assert set(warp_metrics(network())) == {"outside"}


def test_penalties_are_weighed_and_summed() -> None:
    task: Any = SimpleNamespace(outside_penalty=0.0, identity_penalty=0.5)
    warps = (warp([STILL, MOVED], SHIFT),)
    np.testing.assert_allclose(warp_penalty(task, network(SHIFT), warps), [0, 12.5])
    task.outside_penalty, task.identity_penalty = 2.0, 0.0
    expected = 2 * stn.outside_penalty(warps[0].grid)
    np.testing.assert_allclose(warp_penalty(task, network(SHIFT), warps), expected)
    assert warp_penalty(task, network(), ()) == 0


def test_a_prediction_without_warps_has_none() -> None:
    assert get_warps(jnp.zeros(3)) == ()
    warp: Any = 1
    assert get_warps(SimpleNamespace(warps=[warp])) == (warp,)
