"""The four maps: what they keep and compute, and that they are one another's derivatives."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.ad_checkpoint import print_saved_residuals
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

import stn_jax as stn
from sampling.cases import SHAPES, draw, interpolation, primitives
from stn_jax.sampling import gather, kernels, operator, platforms
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES


def example(*lead: int, n: int = 2, dtype: Any = np.float32) -> tuple[jax.Array, jax.Array]:
    rng = np.random.default_rng(n)
    image = rng.standard_normal((*lead, *(5, 6, 4)[:n], 2)).astype(dtype)
    grid = rng.uniform(-1.4, 1.4, (*lead, *(3, 5, 2)[:n], n)).astype(dtype)
    return jnp.asarray(image), jnp.asarray(grid)


def loss(image: jax.Array, grid: jax.Array) -> jax.Array:
    return jnp.sum(stn.grid_sample(image, grid) ** 2)


def test_reverse_mode_keeps_image_and_points_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for mode, padding_mode in (("bilinear", "zeros"), ("bicubic", "reflection")):
        sample = functools.partial(stn.grid_sample, mode=mode, padding_mode=padding_mode)
        print_saved_residuals(sample, *example(3))
        kept = capsys.readouterr().out.strip().splitlines()
        assert len(kept) == 2, kept
        assert all("from the argument" in line for line in kept)


def test_a_gradient_that_nobody_uses_is_not_computed() -> None:
    for argument, own, other in (
        (0, "stn_splat", "stn_vjp_points"),
        (1, "stn_vjp_points", "stn_splat"),
    ):
        counts = primitives(jax.grad(loss, argument), *example(3))
        assert counts[own] == 1
        assert other not in counts
    assert "scatter" not in jax.jit(jax.grad(loss, 1)).lower(*example()).as_text()


def test_tracing_does_not_run_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shapes are said; a platform's form is traced when a program is lowered, and only that."""

    def fail(*arguments: Any) -> None:
        raise AssertionError("the sampler was traced")

    for name in platforms.ALGORITHMS:
        monkeypatch.setitem(platforms.ALGORITHMS, name, fail)
    monkeypatch.setattr(kernels.Kernel, "__call__", fail)
    image, grid = example(7)  # of no other test's shape, so that nothing is cached
    for backend in platforms.BACKENDS:
        sample = functools.partial(stn.grid_sample, backend=backend)
        values, _ = jax.eval_shape(functools.partial(jax.vjp, sample), image, grid)
        assert values.shape == (7, 3, 5, 2)

        def both(image: jax.Array, grid: jax.Array, sample: Any = sample) -> tuple[Any, ...]:
            values, pull = jax.vjp(sample, image, grid)
            return values, *pull(values)

        counts = primitives(both, image, grid)
        maps = {name: k for name, k in counts.items() if name.startswith("stn_")}
        assert maps == {"stn_read": 1, "stn_splat": 1, "stn_vjp_points": 1}


@pytest.mark.parametrize("algorithm", ["auto", "windowed"])
def test_the_product_rule_and_its_transpose(algorithm: str) -> None:
    """``dV = read(dU, x) + jvp_points(U, dx, x)``, and each map against its transpose."""
    image, points, values = (a[0] for a in draw(2))
    points = jnp.where(jnp.isfinite(points), points, 0.5)
    rng = np.random.default_rng(1)
    d_image, d_points = (jnp.asarray(rng.standard_normal(a.shape)) for a in (image, points))
    static: dict[str, Any] = {
        "interpolation": interpolation("bilinear", "reflection"),
        "algorithm": algorithm,
        "shape": SHAPES[2],
    }

    @jax.jit
    def run() -> dict[str, Any]:
        sample = functools.partial(operator.read, **static)
        _, change = jax.jvp(sample, (image, points), (d_image, d_points))
        gradients = jax.vjp(sample, image, points)[1](values)
        return {
            "change": change,
            "gradients": gradients,
            "read": operator.read(d_image, points, **static),
            "jvp_points": operator.jvp_points(image, d_points, points, **static),
            "splat": operator.splat(values, points, **static),
            "vjp_points": operator.vjp_points(image, values, points, **static),
        }

    out = run()
    np.testing.assert_allclose(out["change"], out["read"] + out["jvp_points"], atol=1e-12)
    np.testing.assert_array_equal(out["gradients"][0], out["splat"])
    np.testing.assert_array_equal(out["gradients"][1], out["vjp_points"])
    np.testing.assert_allclose(np.vdot(values, out["read"]), np.vdot(out["splat"], d_image))
    np.testing.assert_allclose(
        np.vdot(values, out["jvp_points"]), np.vdot(out["vjp_points"], d_points)
    )


@pytest.mark.parametrize(
    "row", [("bilinear", "zeros"), pytest.param(("bicubic", "border"), marks=pytest.mark.slow)]
)
def test_second_derivatives_are_those_of_the_algorithm(row: tuple[str, str]) -> None:
    """Of all pairs, in one program; the algorithm itself JAX differentiates without our rules."""
    image, points, _ = (a[0] for a in draw(2, channels=1))
    image, points = image[:3, :3], jnp.clip(jnp.nan_to_num(points[:1, :2]), 0.3, 1.6)
    how = interpolation(*row)

    def by_maps(image: jax.Array, points: jax.Array) -> jax.Array:
        shape = image.shape[:-1]
        values = operator.read(image, points, interpolation=how, algorithm="gather", shape=shape)
        return jnp.sum(jnp.sin(values))

    def by_algorithm(image: jax.Array, points: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(gather.sample(image, points, how)))

    @jax.jit
    def run(image: jax.Array, points: jax.Array) -> list[Any]:
        return [jax.hessian(f, (0, 1))(image, points) for f in (by_maps, by_algorithm)]

    ours, expected = run(image, points)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-10), ours, expected)
    assert np.abs(ours[1][1]).max() > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("padding_mode", PADDING_MODES)
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_to_second_order(mode: str, padding_mode: str, n: int) -> None:
    image, grid = example(n=n, dtype=np.float64)
    image, grid = image[..., :1], grid[:1, :2]
    check_grads(
        lambda u, g: stn.grid_sample(u, g, mode=mode, padding_mode=padding_mode),
        (image, grid),
        order=2,
        modes=("fwd", "rev"),
        atol=1e-5,
        rtol=1e-5,
        eps=1e-5,
    )


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None)])
@pytest.mark.parametrize("inner", [(0, 0), (None, 0), (0, None)])
def test_a_batch_is_its_examples_whoever_makes_it(
    axes: tuple[int | None, ...] | tuple[int, ...], inner: tuple[int | None, ...] | tuple[int, ...]
) -> None:
    def gradients(image: jax.Array, grid: jax.Array) -> tuple[Any, Any]:
        return jax.value_and_grad(lambda i, g: jnp.sum(jnp.sin(stn.grid_sample(i, g))), (0, 1))(
            image, grid
        )

    image, grid = example(2, 3, dtype=np.float64)
    image, grid = (
        x[tuple(0 if axis is None else slice(None) for axis in pair)]
        for x, pair in zip((image, grid), zip(axes, inner, strict=True), strict=True)
    )
    both = jax.vmap(jax.vmap(gradients, in_axes=inner), in_axes=axes)(image, grid)
    expected = _one_by_one(image, grid, axes, inner)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), both, expected)


def _one_by_one(image: jax.Array, grid: jax.Array, axes: Any, inner: Any) -> Any:
    def pick(array: jax.Array, axis: int, k: Any) -> jax.Array:
        return array if axis is None else array[k]

    def stack(parts: Any) -> Any:
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)

    rows = []
    for k in range(2):
        pairs = [
            [pick(pick(x, a, k), b, m) for x, a, b in zip((image, grid), axes, inner, strict=True)]
            for m in range(3)
        ]
        rows.append(stack([_gradients(*pair) for pair in pairs]))
    return stack(rows)


@jax.jit
def _gradients(image: jax.Array, grid: jax.Array) -> tuple[Any, Any]:
    return jax.value_and_grad(lambda i, g: jnp.sum(jnp.sin(stn.grid_sample(i, g))), (0, 1))(
        image, grid
    )


def test_an_unbatched_image_is_not_copied_for_each_grid() -> None:
    image, grids = jnp.ones((5, 6, 2)), jnp.zeros((50, 3, 4, 2))

    def shapes(jaxpr: Any) -> Iterator[Any]:
        for equation in jaxpr.eqns:
            yield from (v.aval.shape for v in equation.outvars)
            for inner in jaxprs_in_params(equation.params):
                yield from shapes(inner)

    def both(image: jax.Array, grids: Any) -> tuple[Any, ...]:
        values, pull = jax.vjp(stn.grid_sample, image, grids)
        return values, *pull(values)

    for function in (both, lambda u, g: jax.vmap(stn.grid_sample, (None, 0))(u, g)):
        found = list(shapes(jax.make_jaxpr(function)(image, grids).jaxpr))
        assert (50, 3, 4, 2) in found
        assert not [shape for shape in found if np.prod(shape) >= 50 * image.size], found


def test_value_and_image_gradient_take_the_same_pixels() -> None:
    """``<V', S U> = <S^T V', U>``, also where rounding decides on which side of a pixel x lies.

    Were x computed twice and rounded in two ways, its index and its weight might belong to
    different pixels: some of these 720,000 points would be added a whole pixel off.
    """
    count, shape = 8, (300, 300)
    rng = np.random.default_rng(0)
    image, values = rng.standard_normal((2, count, *shape, 1)).astype(np.float32)
    angle, size = rng.uniform([[-0.5], [0.7]], [[0.5], [1.3]], (2, count)).astype(np.float32)
    theta = stn.compose(stn.rotation(angle), stn.scaling(size[:, None] * np.ones(2, np.float32)))

    @jax.jit
    def both(image: jax.Array, theta: jax.Array) -> tuple[Any, ...]:
        read, transpose = jax.vjp(
            lambda u: stn.grid_sample(u, stn.affine_grid(theta, shape)), image
        )
        return read, transpose(values)[0]

    read, gradient = both(image, theta)
    for k in range(count):
        want = np.vdot(values[k], np.float64(read[k]))
        assert abs(np.vdot(np.float64(gradient[k]), image[k]) - want) < 0.02
