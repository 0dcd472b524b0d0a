"""The examples against the formulas in PyTorch that they replace, values and gradients."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("skimage")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield __import__
    for name in ("_panels", "deformable_attention", "raft_lookup"):
        sys.modules.pop(name, None)


def torch_attention(values: Any, locations: Any, weights: Any) -> Any:
    """What Deformable DETR computes without its kernel: reads by level, then a weighted sum."""
    b, queries, heads, levels, points, _ = locations.shape
    grids = 2 * locations - 1
    reads = []
    for level, value in enumerate(values):
        _, h, w, _, c = value.shape
        images = value.permute(0, 3, 4, 1, 2).reshape(b * heads, c, h, w)
        grid = grids[:, :, :, level].transpose(1, 2).reshape(b * heads, queries, points, 2)
        reads.append(
            torch.nn.functional.grid_sample(
                images, grid, mode="bilinear", padding_mode="zeros", align_corners=False
            )
        )
    weights = weights.transpose(1, 2).reshape(b * heads, 1, queries, levels * points)
    out = (torch.stack(reads, dim=-2).flatten(-2) * weights).sum(-1)
    return out.reshape(b, heads * out.shape[1], queries).transpose(1, 2)


def test_deformable_attention_equals_pytorch(load: Callable[[str], Any]) -> None:
    example, rng = load("deformable_attention"), np.random.default_rng(0)
    values = [rng.normal(size=(2, h, w, 3, 4)) for h, w in ((8, 9), (4, 5), (2, 3))]
    locations = rng.uniform(-0.2, 1.2, (2, 6, 3, 3, 4, 2))
    weights = rng.uniform(size=(2, 6, 3, 3, 4))
    cotangent = rng.normal(size=(2, 6, 12))

    out, pullback = jax.vjp(example.deformable_attention, values, locations, weights)
    ours = jax.tree.leaves((out, pullback(jnp.asarray(cotangent))))
    leaves = [torch.tensor(a, requires_grad=True) for a in (*values, locations, weights)]
    wanted = torch_attention(leaves[:3], *leaves[3:])
    wanted.backward(torch.tensor(cotangent))
    theirs = [wanted.detach(), *(leaf.grad for leaf in leaves)]
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other.numpy(), atol=1e-10)


def torch_look_up(pyramid: Any, places: Any, radius: int) -> Any:
    """RAFT's look-up: coordinates in pixels, normalised for grid_sample, x along the first axis."""
    h, w, _ = places.shape
    steps = torch.linspace(-radius, radius, 2 * radius + 1, dtype=places.dtype)
    delta = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)
    found = []
    for level, volume in enumerate(pyramid):
        points = places.reshape(h * w, 1, 1, 2) / 2**level + delta
        sizes = torch.tensor([volume.shape[3] - 1, volume.shape[2] - 1])
        images = volume.reshape(h * w, 1, *volume.shape[2:])
        read = torch.nn.functional.grid_sample(images, 2 * points / sizes - 1, align_corners=True)
        found.append(read.reshape(h, w, 2 * radius + 1, 2 * radius + 1))
    return torch.stack(found, dim=2)


def test_a_look_up_equals_raft(load: Callable[[str], Any]) -> None:
    example, rng = load("raft_lookup"), np.random.default_rng(0)
    first, second = rng.normal(size=(2, 8, 12, 5))
    places = rng.uniform(-2, 13, (8, 12, 2))
    pyramid = example.correlation_pyramid(first, second, 3)
    ours = example.look_up(pyramid, jnp.asarray(places), 3)
    volumes = [torch.tensor(np.asarray(volume)) for volume in pyramid]
    theirs = torch_look_up(volumes, torch.tensor(places), 3)
    np.testing.assert_allclose(np.swapaxes(ours, -1, -2), theirs.numpy(), atol=1e-10)
    for level in (1, 2):
        pooled = torch.nn.functional.avg_pool2d(volumes[0].reshape(96, 1, 8, 12), 2**level)
        np.testing.assert_allclose(pyramid[level], pooled.reshape(pyramid[level].shape), atol=1e-12)
