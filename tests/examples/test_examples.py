"""Each example runs, at a tiny size, and finds what its page says; its picture exists."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(p for p in (ROOT / "examples").glob("*.py") if not p.name.startswith("_"))


@pytest.fixture(autouse=True)
def as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scripts import each other by name, and compute in float32."""
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        with jax.numpy_rank_promotion("allow"):
            yield
    sys.modules.pop("_panels", None)


def load(name: str) -> Any:
    pytest.importorskip("skimage" if name != "spatial_transformer" else "matplotlib")
    sys.modules.pop(name, None)
    return __import__(name)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.stem)
def test_an_example_has_a_docstring_and_a_picture(script: Path) -> None:
    docstring = ast.get_docstring(ast.parse(script.read_text()))
    assert len(str(docstring).splitlines()) > 5
    picture = ROOT / "docs/images" / f"example-{script.stem}.jpg"
    assert 20_000 < picture.stat().st_size < 300_000


def test_deformable_attention_is_the_sum_of_its_formula() -> None:
    example = load("deformable_attention")
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(2, h, w, 3, 4)).astype(np.float32) for h, w in ((5, 6), (3, 2))]
    locations = rng.uniform(-0.1, 1.1, (2, 7, 3, 2, 5, 2)).astype(np.float32)
    weights = rng.uniform(size=(2, 7, 3, 2, 5)).astype(np.float32)
    found = example.deformable_attention(values, locations, weights)
    wanted = np.zeros((2, 7, 3, 4))
    for b, q, head, level, point in np.ndindex(weights.shape):
        value = values[level][b, :, :, head]
        h, w, _ = value.shape
        x, y = locations[b, q, head, level, point] * [w, h] - 0.5
        for i, j in np.ndindex(h, w):
            weight = max(0, 1 - abs(x - j)) * max(0, 1 - abs(y - i))
            wanted[b, q, head] += weights[b, q, head, level, point] * weight * value[i, j]
    np.testing.assert_allclose(found, wanted.reshape(2, 7, 12), atol=1e-5)


def test_a_look_up_reads_the_correlation_of_its_level() -> None:
    example = load("raft_lookup")
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 8, 3)).astype(np.float32)
    pyramid = example.correlation_pyramid(first, second, 2)
    places = jnp.broadcast_to(jnp.array([4.0, 2.0]), (4, 8, 2))
    found = np.asarray(example.look_up(pyramid, places, 1))
    volume = np.einsum("ijc,klc->ijkl", first, second) / np.sqrt(3)
    np.testing.assert_allclose(found[:, :, 0], volume[:, :, 1:4, 3:6], atol=1e-5)
    halves = volume.reshape(4, 8, 2, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(found[:, :, 1, 0:2], halves[:, :, 0:2, 1:4], atol=1e-5)
    np.testing.assert_allclose(found[:, :, 1, 2], 0, atol=1e-6)  # beyond the last row


def test_the_flow_warps_what_is_visible(tmp_path: Path) -> None:
    found = load("flow_warp").main(step=4, path=tmp_path / "p.jpg")
    assert found["visible"] < 0.4 * found["unwarped"]
    assert found["hidden"] > 2 * found["visible"]
    assert (tmp_path / "p.jpg").stat().st_size > 5000


def test_the_60_lines_sample_as_the_library_does() -> None:
    example = load("spatial_transformer")
    source = (ROOT / "examples/spatial_transformer.py").read_text().split("\n# ------")[1]
    assert len(source.splitlines()) <= 60
    image = jnp.asarray(np.random.default_rng(0).uniform(size=(6, 6)), jnp.float32)
    grid = example.make_grid(jnp.array([[1.2, 0.3, 0.1], [-0.4, 0.9, -0.2]]), 5)
    wanted = stn.grid_sample(image[..., None], grid)[..., 0]
    np.testing.assert_allclose(example.sample(image, grid), wanted, atol=1e-6)


@pytest.mark.slow
def test_deformable_attention_finds_the_shift(tmp_path: Path) -> None:
    found = load("deformable_attention").main(path=tmp_path / "p.jpg", steps=150)
    np.testing.assert_allclose(found["mean"], [12, -8], atol=0.5)


@pytest.mark.slow
def test_look_ups_estimate_the_disparity(tmp_path: Path) -> None:
    found = load("raft_lookup").main(path=tmp_path / "p.jpg")
    assert found["error"] < 0.6
    assert found["within_one"] > 0.6


@pytest.mark.slow
def test_triplanes_learn_a_distance(tmp_path: Path) -> None:
    found = load("triplanes").main(path=tmp_path / "p.jpg", steps=200, points=512)
    assert found["error"] < 0.04
    assert 0.8 < found["length"] < 1.2


@pytest.mark.slow
def test_photographs_are_aligned_below_a_pixel(tmp_path: Path) -> None:
    found = load("align_photographs").main(path=tmp_path / "p.jpg", side=128, levels=3)
    assert found["start"] > 15
    assert found["found"][-1] < 0.1


@pytest.mark.slow
def test_the_transformer_lowers_the_error(tmp_path: Path) -> None:
    found = load("spatial_transformer").main(tmp_path / "p.jpg", steps=800)
    assert found["with"] < 0.8 * found["without"]
    assert found["difference"] < 1e-5


@pytest.mark.slow
def test_a_volume_is_registered(tmp_path: Path) -> None:
    """A shell, a core and a dark ventricle, as no test may need a real brain."""
    places = np.moveaxis(np.indices((24, 28, 24)), 0, -1) - np.array([11.5, 13.5, 11.5])
    radius = np.linalg.norm(places / [8, 10, 7], axis=-1)
    texture = 0.3 * np.sin(places).prod(-1)
    volume = np.where(radius < 1, 0.5 + texture, 0) + np.where(radius < 0.7, 0.3, 0)
    volume = volume[..., None].astype(np.float32)
    found = load("register_brain").main(volume, tmp_path / "p.jpg", field=6, steps=60)
    assert found["after"] < 0.6 * found["before"]
    assert found["folds"] < 0.01
