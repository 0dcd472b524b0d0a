"""Values and gradients equal what PyTorch gave (tests/oracles/make_torch_values.py)."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

VALUES = dict(np.load(Path(__file__).parents[1] / "oracles" / "torch_values.npz"))
CASES = sorted({name.rsplit("/", 1)[0] for name in VALUES})


def arrays(case: str) -> dict[str, np.ndarray]:
    return {name.rsplit("/", 1)[1]: v for name, v in VALUES.items() if name.startswith(case + "/")}


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("grid_sample")])
def test_grid_sample(case: str) -> None:
    _, _, mode, padding_mode, align_corners = case.split("/")
    expected = arrays(case)

    @jax.jit
    def run(image: jax.Array, grid: jax.Array, cotangent: jax.Array) -> tuple[Any, ...]:
        value, pullback = jax.vjp(
            lambda u, g: stn.grid_sample(
                u, g, mode=mode, padding_mode=padding_mode, align_corners=align_corners == "True"
            ),
            image,
            grid,
        )
        return value, *pullback(cotangent)

    ours = run(expected["image"], expected["grid"], expected["cotangent"])
    for name, value in zip(("value", "d_image", "d_grid"), ours, strict=True):
        assert value.dtype == jnp.float64
        np.testing.assert_allclose(value, expected[name], atol=1e-10, err_msg=name)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("affine_grid")])
def test_affine_grid(case: str) -> None:
    align_corners = case.endswith("True")
    expected = arrays(case)
    shape = expected["grid"].shape[1:-1]
    grid, pullback = jax.vjp(
        lambda theta: stn.affine_grid(theta, shape, align_corners=align_corners),
        jnp.asarray(expected["theta"]),
    )
    np.testing.assert_allclose(grid, expected["grid"], atol=1e-12)
    (d_theta,) = pullback(jnp.asarray(expected["cotangent"]))
    np.testing.assert_allclose(d_theta, expected["d_theta"], atol=1e-10)
