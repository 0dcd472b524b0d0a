"""Co-localization: the loss and the boxes against NumPy, the encoder's layers, what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_run import write_encoder
from jax import random

import stn_jax as stn
from stn_jax.models import FCN
from train.config import CoLocalization, NoDistortion, Rotation
from train.data.batches import make_examples
from train.data.dataset import DataSpec
from train.errors import UserError
from train.evaluation.encoder import load_encoder
from train.tasks.co_localization import (
    CommonObject,
    describe,
    grid_box,
    intersection_over_union,
    size_cost,
    triplet_loss,
)

pytestmark = pytest.mark.usefixtures("plain_numerics", "compilation_cache")

SCENES = np.random.default_rng(0).integers(0, 256, (5, 40, 50, 1), np.uint8)
DATA = {"images": jnp.asarray(SCENES), "boxes": jnp.asarray([[-1, -1, 0, 1]] * 5, jnp.float32)}
SPEC = DataSpec(
    "scenes", {"train": 5}, {"images": ((40, 50, 1), "uint8"), "boxes": ((4,), "float32")}, {}, ""
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 28 x 28."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    np.savez(
        path, x_train=images, y_train=np.arange(40) % 10, x_test=images[:10], y_test=np.arange(10)
    )
    return path


@pytest.fixture(scope="module")
def encoder(digits: Path, compilation_cache: Path) -> str:
    workdir = digits.parent / "encoder"
    write_encoder(workdir, digits)
    return str(workdir)


@pytest.fixture
def task(encoder: str) -> CommonObject:
    return CoLocalization(encoder=encoder).build(SPEC, NoDistortion())


def predict(grids: Any, images: Any) -> SimpleNamespace:
    features = stn.grid_sample(images, grids)
    return SimpleNamespace(warps=(SimpleNamespace(grid=grids, features=features),))


def test_the_loss_is_that_of_a_loop_over_triplets() -> None:
    """Of vectors of length 1, the paper's: the hinge of squared distances."""
    vectors = np.random.default_rng(0).normal(size=(2, 6, 4)).astype(np.float32)
    windows, crops = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    expected = np.zeros(6)
    for n in range(6):
        for m in set(range(6)) - {n}:
            near = np.sum((windows[n] - windows[m]) ** 2)
            far = np.sum((windows[n] - crops[n]) ** 2)
            expected[n] += max(0.0, near - far + 1.5) / 5
    np.testing.assert_allclose(triplet_loss(windows, crops, 1.5), expected, rtol=1e-4, atol=1e-5)


def test_windows_on_darkness_are_not_alike() -> None:
    dark = jnp.zeros((6, 4), jnp.float32)
    digit = dark.at[:, 0].set(1)
    for crops in (dark, digit):  # by squared distances the second would be 0, the best there is
        np.testing.assert_array_equal(triplet_loss(dark, crops, 1.0), 1)
    np.testing.assert_array_equal(triplet_loss(digit, dark, 1.0), 0)


def test_intersection_over_union_counts_pixels() -> None:
    corners = np.random.default_rng(0).integers(0, 12, (20, 2, 2, 2))
    low, high = corners.min(axis=2), corners.max(axis=2) + 1
    boxes = np.concatenate([low, high], axis=-1)
    found = intersection_over_union(*jnp.asarray(np.moveaxis(boxes, 1, 0), jnp.float32))
    y, x = np.indices((13, 13))
    for pair, value in zip(boxes, found, strict=True):
        one, other = ((x >= a) & (x < c) & (y >= b) & (y < d) for a, b, c, d in pair)
        assert value == pytest.approx((one & other).sum() / (one | other).sum(), abs=1e-6)


def test_a_windows_box_is_that_of_its_pixels() -> None:
    theta = jnp.array([[0.5, 0.25, -0.5], [-0.25, 0.0, 0.5]])
    boxes = grid_box(stn.attention_grid(theta, (7, 5)))
    np.testing.assert_allclose(boxes, [[-0.25, -1, 0.75, 0], [-0.25, 0.25, 0.25, 0.75]], atol=1e-6)
    grids = stn.attention_grid(jnp.array([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0]]), (7, 5))
    cost = size_cost(grids, np.array([0.5, 0.5], np.float32))
    np.testing.assert_allclose(cost, np.log([2, 4]), rtol=1e-4)


def test_an_example_is_a_scene_with_a_crop_of_it(task: CommonObject) -> None:
    scenes, targets = make_examples(task, random.key(0), DATA, jnp.arange(5), None)
    np.testing.assert_allclose(scenes, SCENES / 255, rtol=1e-6)
    places = set()
    for scene, crop in zip(np.asarray(scenes), np.asarray(targets.crop), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(scene[..., 0], (28, 28))
        places.add(tuple(np.argwhere((windows == crop[..., 0]).all(axis=(2, 3)))[0]))
    assert len(places) == 5
    np.testing.assert_array_equal(targets.box, DATA["boxes"])
    np.testing.assert_allclose(task.crop_size, [2 * 28 / 50, 2 * 28 / 40])


def test_training_moves_scenes_with_their_boxes(task: CommonObject) -> None:
    """A bright square of the size of its box stays inside it, as far as it stays in the scene."""
    scene = np.zeros((1, 40, 50, 1), np.uint8)
    scene[:, 15:25, 20:35] = 255
    box = np.array([[20 / 25 - 1, 15 / 20 - 1, 35 / 25 - 1, 25 / 20 - 1]], np.float32)
    data = {"images": jnp.asarray(scene), "boxes": jnp.asarray(box)}
    places = set()
    for seed in range(8):
        moved, targets = make_examples(
            task, random.key(seed), data, jnp.zeros(1, jnp.int32), jnp.int32(0)
        )
        rows, columns = np.nonzero(np.asarray(moved[0, ..., 0]))
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        edges = (np.asarray(targets.box[0]) + 1) * [25, 20, 25, 20]
        np.testing.assert_allclose(edges, found, atol=1e-4)
        places.add(tuple(found))
    assert len(places) > 4
    offsets = np.array(sorted(places)) - [20, 15, 35, 25]
    assert 5 < np.abs(offsets).max() <= task.config.shift


def test_activations_are_those_of_all_layers_less_those_of_darkness(encoder: str) -> None:
    found = load_encoder(encoder)
    images = random.uniform(random.key(0), (3, 28, 28, 1), jnp.float32)
    layers = found(images)
    assert [layer.shape for layer in layers] == [(3, 10 * 10 * 2), (3, 2 * 2 * 3), (3, 10)]
    dark = jnp.zeros((1, 28, 28, 1))
    difference = found.classifier(images) - found.classifier(dark)
    np.testing.assert_allclose(layers[-1], difference, rtol=1e-3, atol=1e-4)
    for layer in found(dark):
        np.testing.assert_allclose(layer, 0, atol=1e-6)


def test_descriptors_are_directions_but_for_what_is_dark() -> None:
    layers = [jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]), jnp.array([[0.0], [0.5], [0.0]])]
    found = np.asarray(describe(layers, [jnp.array(1.0), jnp.array(1.0)]))
    lengths = np.array([[25 / 26, 0], [0.25 / 1.25, 0.25 / 1.25], [0, 0]]) / 2
    np.testing.assert_allclose(found[:, :2] ** 2 @ [1, 1], lengths[:, 0], rtol=1e-5)
    np.testing.assert_allclose(found[:, 2] ** 2, lengths[:, 1], rtol=1e-5)
    slopes = jax.grad(lambda x: describe([x], [jnp.array(0.0)]).sum())(jnp.zeros((1, 3)))
    assert np.isfinite(slopes).all()


def test_the_loss_moves_windows_and_the_boxes_only_measure(task: CommonObject) -> None:
    scenes, targets = make_examples(task, random.key(0), DATA, jnp.arange(5), None)
    theta = jnp.tile(jnp.array([[0.6, -0.3, 0.1]]), (5, 1))

    def loss(theta: Any, box: Any) -> jax.Array:
        prediction = predict(stn.attention_grid(theta, (28, 28)), scenes)
        return task.loss(prediction, targets._replace(box=box)).sum()

    moves, ignored = jax.jit(jax.grad(loss, argnums=(0, 1)))(theta, targets.box)
    assert (np.abs(np.asarray(moves)).max(axis=0) > 1e-4).all()
    np.testing.assert_array_equal(ignored, 0)

    right = jnp.array([[1.0, 0, 0], [0.5, -0.5, 0]])  # one holds the box in half of it
    grids = stn.attention_grid(right, (28, 28))
    measured = predict(grids, scenes[:2]), targets._replace(box=targets.box[:2])
    assert task.metrics["iou"].function(*measured).tolist() == pytest.approx([0.5, 0.5])
    assert task.metrics["error"].function(*measured).tolist() == [1, 1]
    numbers = {"loss": np.array([0.25, 0.75]), "error": np.array([1.0, 0.0])}
    assert task.headline(numbers) == "0.500, 1 of 2 found"


def test_what_does_not_fit_is_refused(encoder: str, digits: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Rotation.* would move .* needs NoDistortion"):
        CoLocalization(encoder=encoder).build(SPEC, Rotation())
    without = SPEC._replace(arrays={"images": SPEC.arrays["images"]})
    with pytest.raises(ValueError, match=r"scenes has no boxes; .* data such as Scenes"):
        CoLocalization(encoder=encoder).build(without, NoDistortion())
    small = SPEC._replace(arrays=SPEC.arrays | {"images": ((20, 20, 1), "uint8")})
    with pytest.raises(ValueError, match=r"sees \(28, 28, 1\), which is larger than the scenes"):
        CoLocalization(encoder=encoder).build(small, NoDistortion())
    with pytest.raises(
        UserError, match=r"task.encoder='nowhere' cannot be used: .*configs/mnist_r_cnn.py"
    ):
        CoLocalization(encoder="nowhere").build(SPEC, NoDistortion())
    write_encoder(tmp_path / "fcn", digits, FCN((4,)))
    with pytest.raises(UserError, match="holds a run of FCN; only a CNN describes images"):
        CoLocalization(encoder=str(tmp_path / "fcn")).build(SPEC, NoDistortion())
