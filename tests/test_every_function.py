"""What JAX may do to a function, asked of every public name: jit, vmap, grad, scan, export."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import stn_jax as stn

B = 3


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of arrays alone, the arrays, and which of them have the batch axis in front."""

    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    batched: tuple[bool, ...]

    @property
    def in_axes(self) -> tuple[int | None, ...]:
        return tuple(0 if batched else None for batched in self.batched)

    def cast(self, dtype: Any) -> tuple[np.ndarray, ...]:
        return tuple(a.astype(dtype) for a in self.arrays)

    def single(self, index: int) -> tuple[np.ndarray, ...]:
        return tuple(
            a[index] if batched else a for a, batched in zip(self.arrays, self.batched, strict=True)
        )


def case(
    function: Callable[..., Any],
    *shapes: tuple[int, ...],
    base: Any = 0.0,
    scale: float = 0.1,
    shared: tuple[int, ...] = (),
) -> Case:
    """Arrays ``base + noise`` with a batch axis in front, but for the ``shared`` arguments."""
    rng = np.random.default_rng(0)
    batched = tuple(k not in shared for k in range(len(shapes)))
    bases = base if isinstance(base, tuple) else (base,) * len(shapes)
    arrays = [
        value + scale * rng.standard_normal((B, *shape) if many else shape)
        for value, shape, many in zip(bases, shapes, batched, strict=True)
    ]
    return Case(function, tuple(arrays), batched)


def member(transform: stn.Transform) -> Case:
    """All that a transform makes of parameters, in one dict."""

    def function(params: jax.Array) -> dict[str, jax.Array]:
        params = jnp.asarray(params)
        out = {"grid": transform.grid(params, (2, 3, 4)[3 - transform.ndim :])}
        if hasattr(transform, "matrix"):
            out["matrix"] = transform.matrix(params)
        with contextlib.suppress(NotImplementedError):  # a family that does not compose
            out["compose"] = transform.compose(params, params)
        with contextlib.suppress(NotImplementedError):
            out["invert"] = transform.invert(params)
        return out

    return case(function, (transform.num_params,), base=transform.identity())


IMAGE, GRID = (4, 5, 2), (2, 3, 2)
AFFINE, HOMOGRAPHY = np.eye(2, 3), np.eye(3)
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
CASES = {
    "Affine": member(stn.Affine()),
    "AffineDiffeomorphic": member(stn.AffineDiffeomorphic()),
    "Attention": member(stn.Attention()),
    "Chain": member(stn.Chain(stn.Rigid(), stn.ThinPlateSpline((2, 2)))),
    "Flow": member(stn.Flow((2, 3))),
    "Projective": member(stn.Projective()),
    "Rigid": member(stn.Rigid()),
    "Rigid(3)": member(stn.Rigid(3)),
    "Similarity": member(stn.Similarity()),
    "ThinPlateSpline": member(stn.ThinPlateSpline((3, 2))),
    "Translation": member(stn.Translation(3)),
    "Velocity": member(stn.Velocity((2, 3), steps=2)),
    "affine_grid": case(lambda t: stn.affine_grid(t, (3, 4)), (2, 3), base=AFFINE),
    "attention_grid": case(lambda t: stn.attention_grid(t, (2, 3, 4)), (4,), base=0.5),
    "bilinear_sample": case(stn.bilinear_sample, IMAGE, GRID, scale=0.4),
    "compose": case(stn.compose, (2, 3), (3, 3), (2, 3), base=(AFFINE, HOMOGRAPHY, AFFINE)),
    "crop": case(stn.crop, (4,), base=np.array([-0.5, -0.5, 0.5, 0.5])),
    "denormalize_matrix": case(
        lambda m: stn.denormalize_matrix(m, (4, 5), (6, 7)), (3, 3), base=HOMOGRAPHY
    ),
    "flow_grid": case(lambda f: stn.flow_grid(f, units="pixels"), (3, 4, 2)),
    "folding_penalty": case(lambda g: stn.folding_penalty(g, margin=1.0), (3, 4, 2)),
    "grid_sample": case(
        lambda u, g: stn.grid_sample(u, g, mode="bicubic", padding_mode="reflection"),
        IMAGE,
        GRID,
        scale=0.4,
        shared=(0,),
    ),
    "grid_sample(antialias)": case(
        lambda u, g: stn.grid_sample(u, g, antialias=True, max_levels=1),
        IMAGE,
        GRID,
        scale=0.7,
        shared=(1,),
    ),
    "grid_sample(volume)": case(
        lambda u, g: stn.grid_sample(u, g, padding_mode="wrap"),
        (3, 2, 4, 1),
        (2, 1, 3, 3),
        scale=0.4,
    ),
    "homography_from_points": case(
        stn.homography_from_points, (4, 2), (4, 2), base=(SQUARE, SQUARE + 3)
    ),
    "identity_penalty": case(stn.identity_penalty, (3, 4, 2)),
    "invert": case(stn.invert, (3, 4), base=np.eye(3, 4)),
    "invert(homography)": case(stn.invert, (3, 3), base=HOMOGRAPHY),
    "jacobian_determinant": case(stn.jacobian_determinant, (2, 3, 2, 3)),
    "normalize_matrix": case(
        lambda m: stn.normalize_matrix(m, (4, 5), (6, 7)), (2, 3), base=AFFINE
    ),
    "denormalize_grid": case(lambda g: stn.denormalize_grid(g, (4, 5)), (3, 2)),
    "outside_penalty": case(stn.outside_penalty, (3, 4, 2), scale=2.0),
    "normalize_grid": case(lambda g: stn.normalize_grid(g, (4, 5)), (3, 2)),
    "projective_grid": case(lambda t: stn.projective_grid(t, (3, 4)), (3, 3), base=HOMOGRAPHY),
    "rotation": case(lambda a: stn.rotation(a, axis="y"), ()),
    "sample_pixels": case(stn.sample_pixels, IMAGE, GRID, base=(0.0, 1.5), scale=0.4),
    "separable_sample": case(
        lambda u, s, t: stn.separable_sample(u, s, t, (2, 3)),
        IMAGE,
        (2,),
        (2,),
        base=(0.0, 1.2, 0.1),
        shared=(0,),
    ),
    "scaling": case(stn.scaling, (3,), base=1.0),
    "smoothness_penalty": case(stn.smoothness_penalty, (3, 4, 2)),
    "shear": case(stn.shear, (6,)),
    "spatial_transform": case(
        lambda u, p: stn.spatial_transform(u, p, (2, 3)), IMAGE, (6,), base=(0.0, AFFINE.ravel())
    ),
    "thin_plate_spline_grid": case(lambda o: stn.thin_plate_spline_grid(o, (3, 4)), (16, 2)),
    "translation": case(stn.translation, (2,)),
    "velocity_grid": case(lambda v: stn.velocity_grid(v, steps=2), (3, 4, 2)),
}
NO_ARRAYS = {
    "Transform": "abstract; its members are here",
    "identity_grid": "makes an array of a shape",
}
each = pytest.mark.parametrize("name", CASES)


def close(found: Any, expected: Any, atol: float = 1e-12) -> None:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=atol, rtol=atol), found, expected
    )


def score(value: jax.Array) -> jax.Array:
    """A weighted sum of squares: plain, a rotation's would be constant."""
    flat = ravel_pytree(value)[0]
    return jnp.sum(jnp.linspace(1, 2, flat.size, dtype=flat.dtype) * flat**2)


def test_no_public_name_is_left_out() -> None:
    assert {name.split("(")[0] for name in CASES} | set(NO_ARRAYS) == set(stn.__all__)


@each
def test_jit_vmap_grad_jvp_scan_and_checkpoint_agree(name: str) -> None:
    """All in one program, hardly optimised: XLA's time is the test's.

    Reverse mode goes through `jax.checkpoint` in `lax.scan`, forward mode through `vmap`; that both
    give one gradient speaks for each part.
    """
    function, arrays, in_axes = CASES[name].function, CASES[name].arrays, CASES[name].in_axes
    every = tuple(range(len(arrays)))

    def twice(*arrays: jax.Array) -> float:
        def loss() -> jax.Array:
            return score(function(*arrays))

        step = jax.checkpoint(lambda total, _: (total + loss(), None))
        return jax.lax.scan(step, 0.0, length=2)[0]

    def mapped(*arrays: jax.Array) -> tuple[Any, ...]:
        value = jax.vmap(function, in_axes)(*arrays)
        return score(value), value

    @functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def program(*arrays: jax.Array) -> tuple[Any, ...]:
        return jax.grad(twice, every)(*arrays), jax.jacfwd(mapped, every, has_aux=True)(*arrays)

    reverse, (forward, value) = program(*arrays)
    expected = function(*arrays)
    close(value, expected)
    close(function(*CASES[name].single(1)), jax.tree.map(lambda a: a[1], expected))
    for gradient in forward:
        assert np.isfinite(gradient).all()
        assert np.any(gradient != 0)
    close(reverse, jax.tree.map(lambda g: 2 * g, forward), 1e-10)


@each
def test_one_trace_a_shape_and_no_second_compilation(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    function, arrays = CASES[name].function, CASES[name].cast(np.float32)
    traces = []

    @jax.jit
    def counted(*arrays: jax.Array) -> Any:
        traces.append(1)
        return function(*arrays)

    counted.trace(*arrays)
    counted.trace(*(a * np.float32(1.01) for a in arrays))
    assert len(traces) == 1

    function(*arrays)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jax.block_until_ready(function(*(a * np.float32(1.01) for a in arrays)))
    assert "ompil" not in caplog.text


@each
def test_exports_with_a_symbolic_batch_for_every_platform(name: str) -> None:
    function, arrays = CASES[name].function, CASES[name].cast(np.float32)
    (b,) = jax.export.symbolic_shape("b")
    shapes = [
        jax.ShapeDtypeStruct((b, *a.shape[1:]) if batched else a.shape, a.dtype)
        for a, batched in zip(arrays, CASES[name].batched, strict=True)
    ]
    exported = jax.export.export(jax.jit(function), platforms=("cpu", "cuda", "tpu"))(*shapes)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    close(exported.call(*arrays), function(*arrays), 1e-4)
