"""Registration: what an example is, and what the metrics say of known deformations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from brain import make_brain
from jax import random
from running import plain_jax

import stn_jax as stn
from stn_jax.models.registration import Alignment
from stn_jax.warp import Warp
from train.config import RTS, Deformation, Registration, SquaredError
from train.data.batches import make_examples
from train.data.dataset import DataSpec
from train.data.volume import choose_landmarks, reduce
from train.step.step import Evaluated
from train.tasks.registration import VolumeRegistration

pytestmark = pytest.mark.usefixtures("plain_numerics")

SHAPE = (16, 24, 20)
COUNT = 3


@pytest.fixture(scope="module")
def volume() -> np.ndarray:
    return reduce(make_brain().T, np.ones(3), SHAPE)[0]


def make_spec(**arrays: Any) -> DataSpec:
    kinds: Any = {"volumes": ((*SHAPE, 1), "uint8"), "landmarks": ((200, 3), "float32")} | arrays
    return DataSpec("brain", {"train": 8}, {k: v for k, v in kinds.items() if v}, {}, "")


@pytest.fixture(scope="module")
def task() -> VolumeRegistration:
    part = Registration(similarity=SquaredError(), smoothness=0.5, tissue=0.7)
    return part.build(make_spec(), Deformation(noise=0.0, gamma=0.0))


@pytest.fixture(scope="module")
def results(task: VolumeRegistration, volume: np.ndarray) -> dict[str, Any]:
    """Examples, and metrics where nothing is moved, where all is undone, and where it folds."""
    arrays = {"volumes": volume, "landmarks": choose_landmarks(volume, 200)}
    key = random.key(0)

    def true_grid(index: jax.Array) -> jax.Array:
        warp_key, _ = random.split(random.fold_in(key, index))
        params = task.deformation.draw(warp_key, None)
        grid: jax.Array = task.deformation.forward.grid(params, SHAPE)
        return grid

    @jax.jit
    def run(data: Any) -> tuple[Any, ...]:
        inputs, targets = make_examples(task, key, data, jnp.arange(COUNT), None)

        def metrics(grid: jax.Array) -> dict[str, jax.Array]:
            moved = stn.grid_sample(inputs[..., :1], grid)
            velocity = jnp.zeros((COUNT, 4, 4, 4, 3)).at[:, :, :, 2:, 0].set(0.5)
            prediction = Alignment(velocity, (Warp(moved, velocity, grid),) * 2)
            return {k: m.function(prediction, targets) for k, m in task.metrics.items()}

        identity = jnp.broadcast_to(stn.identity_grid(SHAPE), (COUNT, *SHAPE, 3))
        undone = jax.vmap(true_grid)(jnp.arange(COUNT))
        folding = identity.at[:, 5:8].set(identity[:, 5:8][:, ::-1])
        return inputs, targets, jax.vmap(metrics)(jnp.stack([identity, undone, folding]))

    with plain_jax():
        data = {k: jnp.broadcast_to(x, (8, *x.shape)) for k, x in arrays.items()}
        inputs, targets, metrics = jax.device_get(run(data))
    cases = {
        case: {name: values[i] for name, values in metrics.items()}
        for i, case in enumerate(("still", "undone", "folding"))
    }
    return {"inputs": inputs, "targets": targets, **cases}


def test_an_example_is_the_volume_and_a_deformation_of_it(
    results: dict[str, Any], volume: np.ndarray, task: VolumeRegistration
) -> None:
    assert task.input_shape == (*SHAPE, 2)
    moving, fixed = np.moveaxis(results["inputs"], -1, 0)
    for one in fixed:
        np.testing.assert_allclose(one, volume[..., 0] / 255, atol=1e-6)
    assert np.abs(moving - fixed).mean(axis=(1, 2, 3)).min() > 0.02
    assert np.abs(moving[0] - moving[1]).mean() > 0.02


def test_the_known_deformation_brings_landmarks_tissue_and_volumes_together(
    results: dict[str, Any],
) -> None:
    still, undone = results["still"], results["undone"]
    np.testing.assert_allclose(still["distance"], still["distance_before"], atol=1e-3)
    assert still["distance"].min() > 0.5
    assert undone["distance"].max() < 0.05
    np.testing.assert_array_equal(undone["distance_before"], still["distance_before"])
    assert undone["dice"].min() > 0.85
    assert np.all(undone["dice"] > still["dice"])
    assert np.all(undone["similarity"] < still["similarity"] / 2)
    assert undone["min_jacobian"].min() > 0
    np.testing.assert_allclose(still["min_jacobian"], 1, atol=1e-4)
    assert not undone["folded"].any()


def test_distances_are_in_voxels(results: dict[str, Any]) -> None:
    targets = results["targets"]
    vectors = (targets.moving_landmarks - targets.landmarks) * np.array(SHAPE[::-1]) / 2
    expected = np.linalg.norm(vectors, axis=-1).mean(axis=-1)
    np.testing.assert_allclose(results["still"]["distance_before"], expected, rtol=1e-5)


def test_folds_are_counted(results: dict[str, Any]) -> None:
    np.testing.assert_allclose(results["folding"]["folded"], 2 / 15)  # 2 of 15 layers of cells
    np.testing.assert_allclose(results["folding"]["min_jacobian"], -1, atol=1e-3)


def test_the_loss_is_similarity_and_the_weighed_roughness_of_the_velocity(
    results: dict[str, Any],
) -> None:
    roughness = 1.0**2 / 3  # a step of half the volume's half side, a lattice of 4: one of 3 is 1
    expected = results["still"]["similarity"] + 0.5 * roughness
    np.testing.assert_allclose(results["still"]["loss"], expected, rtol=1e-5)


def test_the_report_has_the_ratio_and_the_worst_determinant(task: VolumeRegistration) -> None:
    metrics = {
        "distance": np.array([1.0, 2.0]),
        "distance_before": np.array([4.0, 8.0]),
        "min_jacobian": np.array([0.5, -0.25]),
    }
    found = task.report(Evaluated(metrics, {}, None))
    assert found == {"registration": {"distance_ratio": 0.25, "smallest_jacobian": -0.25}}
    assert task.headline(metrics) == "1.50 voxels, 6.00 before (2 examples)"


def test_other_data_and_distortions_are_refused() -> None:
    with pytest.raises(ValueError, match="brain has no landmarks; registration needs data such as"):
        Registration().build(make_spec(landmarks=None), Deformation())
    with pytest.raises(ValueError, match="distortion=RTS has no known inverse; registration needs"):
        Registration().build(make_spec(), RTS())
