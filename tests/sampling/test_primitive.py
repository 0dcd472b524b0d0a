"""A primitive from a function: JAX's rules, on a map that knows no image."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters import ad

from sampling.cases import primitives
from stn_jax.sampling._primitive import Map

RUNS: list[str | None] = []


def scale(array: jax.Array, x: jax.Array, *, power: int) -> jax.Array:
    """``y_p = x_p^power a``: linear in the array, one result for each point."""
    return jnp.tensordot(x**power, array, 0)


def run(
    name: str,
    function: Callable[..., Any],
    platform: str | None,
    *operands: jax.Array,
    batch: int,
    is_local: bool,
    **static: Any,
) -> Any:
    RUNS.append(platform)
    function = jax.tree_util.Partial(function, **static)
    for _ in range(batch):
        function = jax.vmap(function)
    return function(*operands)


def unscale(values: jax.Array, x: jax.Array, *, power: int, batch: int) -> jax.Array:
    assert not batch
    return jnp.sin(jnp.arcsin(jnp.tensordot(x**power, values, x.ndim) / 99)) * 99


def shape(array: jax.Array, x: jax.Array, *, power: int) -> tuple[Any, ...]:
    return (*x, *array)


def make(name: str, **options: Any) -> Map:
    keep: dict[str, Any] = {"run": run, "platforms": ("cpu",), "shares_first": True}
    return Map(name, scale, shape, **keep | options)


TOY = make("toy")
A, X = jnp.array([1.0, -2.0, 3.0]), jnp.array([[0.5, 2.0], [1.0, 3.0]])
VALUE = np.asarray(X)[..., None] ** 2 * np.asarray(A)


def toy(a: jax.Array, x: jax.Array) -> Any:
    return TOY(a, x, power=2)


def test_it_is_the_function_eagerly_and_compiled() -> None:
    np.testing.assert_array_equal(toy(A, X), VALUE)
    np.testing.assert_array_equal(jax.jit(toy)(A, X), VALUE)
    with jax.disable_jit():
        np.testing.assert_array_equal(toy(A, X), VALUE)
    assert primitives(toy, A, X) == {"stn_toy": 1}


def test_shapes_are_said_and_the_function_is_not_run() -> None:
    RUNS.clear()
    out = jax.eval_shape(toy, A, jax.ShapeDtypeStruct((5, 7), jnp.float64))
    assert (out.shape, out.dtype) == ((5, 7, 3), jnp.float64)
    assert not RUNS


def test_a_platform_is_lowered_for_itself() -> None:
    RUNS.clear()
    jax.jit(lambda a, x: toy(a, x) + 1).lower(A, X)
    assert RUNS == ["cpu"]
    RUNS.clear()
    jax.export.export(jax.jit(toy), platforms=["tpu"])(A, X)
    assert RUNS == [None]


@pytest.mark.parametrize("axes", [(0, 0), (None, 0), (0, None), (1, 2), (None, 1)])
def test_batches(axes: tuple[int | None, ...] | tuple[int, ...]) -> None:
    a = jnp.stack([A, 2 * A, A - 1, A], axis=axes[0]) if axes[0] is not None else A
    x = jnp.stack([X, X + 1, X, 3 * X], axis=axes[1]) if axes[1] is not None else X
    found = jax.vmap(toy, axes)(a, x)
    for k in range(4):
        expected = toy(
            a if axes[0] is None else jnp.take(a, k, axes[0]),
            x if axes[1] is None else jnp.take(x, k, axes[1]),
        )
        np.testing.assert_array_equal(found[k], expected)


def test_a_shared_first_operand_takes_the_batch_as_more_points() -> None:
    def inputs(map_: Any) -> tuple[Any, ...]:
        batched = jax.vmap(lambda x: map_(A, x, power=2))
        (equation,) = [
            e
            for e in jax.make_jaxpr(batched)(jnp.stack([X] * 4)).jaxpr.eqns
            if e.primitive is map_.primitive
        ]
        return equation.invars[0].aval.shape, equation.params["batch"]

    assert inputs(TOY) == ((3,), 0)
    assert inputs(make("copies", shares_first=False)) == ((4, 3), 1)


def test_a_batch_of_a_batch_of_shared_operands() -> None:
    a, x = jnp.stack([A, 2 * A]), jnp.stack([X, X + 1, X + 2, X + 3, X + 4])
    found = jax.vmap(jax.vmap(toy, (None, 0)), (0, None))(a, x)
    found_other = jax.vmap(jax.vmap(toy, (0, None)), (None, 0))(a, x)
    for k, m in np.ndindex(2, 5):
        np.testing.assert_array_equal(found[k, m], toy(a[k], x[m]))
        np.testing.assert_array_equal(found_other[m, k], toy(a[k], x[m]))


def test_derivatives_of_both_operands() -> None:
    """Linear in the array; in the points by differentiating the function, as no map is named."""
    d_a, d_x = jnp.ones(3), jnp.full((2, 2), 0.5)
    _, change = jax.jvp(toy, (A, X), (d_a, d_x))
    x, a = np.asarray(X)[..., None], np.asarray(A)
    np.testing.assert_allclose(change, x**2 + 2 * x * 0.5 * a, rtol=1e-14)
    _, change = jax.jvp(lambda x: toy(A, x), (X,), (d_x,))
    np.testing.assert_allclose(change, 2 * x * 0.5 * a, rtol=1e-14)
    d_a, d_x = jax.grad(lambda a, x: jnp.sum(toy(a, x)), (0, 1))(A, X)
    np.testing.assert_allclose(d_a, (x**2 * np.ones(3)).sum((0, 1)), rtol=1e-14)
    np.testing.assert_allclose(d_x, 2 * np.asarray(X) * a.sum(), rtol=1e-14)


def test_a_named_change_of_points_and_a_named_transpose_are_taken() -> None:
    called = make("called")
    change = Map(
        "change",
        lambda a, dx, x, *, power: jnp.tensordot(power * dx * x ** (power - 1), a, 0),
        lambda a, dx, x, *, power: (*x, *a),
        run=run,
        platforms=("cpu",),
        shares_first=True,
    )
    called.change_of_points = change
    called.transposes = {0: unscale}

    def total(a: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.sum(called(a, x, power=2))

    counts = primitives(lambda x: jax.jvp(lambda x: total(A, x), (x,), (x,)), X)
    assert counts["stn_change"] == 1
    found = jax.grad(total, (0, 1))(A, X)
    expected = jax.grad(lambda a, x: jnp.sum(toy(a, x)), (0, 1))(A, X)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, expected)
    assert "asin" in primitives(jax.grad(total), A, X)  # in the open: of `unscale`


def test_zeros_stay_symbolic() -> None:
    _, tangent = jax.jvp(lambda a: toy(a, jax.lax.stop_gradient(X)), (A,), (A,))
    np.testing.assert_array_equal(tangent, VALUE)
    counts = primitives(lambda a: jax.jvp(lambda a: toy(a, X), (a,), (a,)), A)
    assert counts == {"stn_toy": 2}
    rule = ad.primitive_jvps[TOY.primitive]
    zeros = [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in (A, X)]
    value, tangent = rule((A, X), zeros, batch=0, power=2)
    assert type(tangent) is ad.Zero
    aval: Any = tangent.aval
    assert aval.shape == value.shape


def test_it_varies_in_shard_map_as_its_operands() -> None:
    mesh = jax.make_mesh((1,), ("b",), axis_types=(jax.sharding.AxisType.Auto,))
    spec: Callable[..., jax.sharding.PartitionSpec] = jax.sharding.PartitionSpec
    for specs in ((spec(), spec("b")), (spec("b"), spec())):
        mapped = jax.shard_map(toy, mesh=mesh, in_specs=specs, out_specs=spec("b"))
        np.testing.assert_array_equal(jax.jit(mapped)(A, X), VALUE)
