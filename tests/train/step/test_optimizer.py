"""The optimiser: schedule, rate of the localization network, clipping, weight decay."""

import jax.numpy as jnp
import numpy as np
import pytest

from train.config.parts import OptimConfig
from train.step.optimizer import make_optimizer, make_schedule

pytestmark = pytest.mark.usefixtures("plain_numerics")

PARAMS = {
    "classifier.kernel": jnp.ones((2, 2), jnp.float32),
    "classifier.bias": jnp.ones(2, jnp.float32),
    "transformer.localization.kernel": jnp.ones((2, 2), jnp.float32),
}


def _update(config: OptimConfig, gradient: float = 1.0) -> dict[str, np.ndarray]:
    optimizer = make_optimizer(config, 100)
    gradients = {name: jnp.full_like(value, gradient) for name, value in PARAMS.items()}
    updates, _ = optimizer.update(gradients, optimizer.init(PARAMS), PARAMS)
    return {name: np.asarray(value) for name, value in updates.items()}


def test_schedules_have_the_expected_rates() -> None:
    def rates(**options: object) -> list[float]:
        schedule = make_schedule(OptimConfig(learning_rate=0.5, **options), 100)
        return [float(schedule(step)) for step in (0, 5, 10, 55, 100)]

    assert rates(schedule="constant") == pytest.approx([0.5] * 5)
    assert rates(schedule="linear") == pytest.approx([0.5, 0.475, 0.45, 0.225, 0])
    warm = rates(schedule="cosine", warmup_steps=10)
    assert warm == pytest.approx([0, 0.25, 0.5, 0.25, 0], abs=1e-7)
    steps = rates(schedule="step", decay_every=50, decay_factor=0.1)
    assert steps == pytest.approx([0.5, 0.5, 0.5, 0.05, 0.005])


def test_first_updates_of_sgd_and_adam() -> None:
    plain = {"schedule": "constant", "learning_rate": 0.1}
    np.testing.assert_allclose(
        _update(OptimConfig(optimizer="sgd", **plain), 2.0)["classifier.bias"], -0.2
    )
    np.testing.assert_allclose(
        _update(OptimConfig(optimizer="adam", **plain), 2.0)["classifier.bias"], -0.1, rtol=1e-5
    )


def test_localization_network_has_its_own_rate() -> None:
    updates = _update(
        OptimConfig(optimizer="sgd", learning_rate=0.1, schedule="constant", localization_rate=0.01)
    )
    np.testing.assert_allclose(updates["classifier.kernel"], -0.1)
    np.testing.assert_allclose(updates["transformer.localization.kernel"], -0.001)


def test_clipping_bounds_the_norm_of_the_whole_gradient() -> None:
    config = OptimConfig(optimizer="sgd", learning_rate=1, schedule="constant", clip_norm=1)
    total = sum(float(np.sum(update**2)) for update in _update(config, 7.0).values())
    assert total == pytest.approx(1, rel=1e-5)


def test_weight_decay_excludes_biases() -> None:
    config = OptimConfig(optimizer="sgd", learning_rate=1, schedule="constant", weight_decay=0.5)
    updates = _update(config, 0.0)
    np.testing.assert_allclose(updates["classifier.kernel"], -0.5)
    np.testing.assert_allclose(updates["classifier.bias"], 0)
