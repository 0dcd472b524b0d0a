"""A decorator that compiles: static arguments, one trace a shape, the function's own type."""

import jax
import jax.numpy as jnp

from stn_jax._jit import jit


def test_compiles_once_for_each_static_argument() -> None:
    traces = []

    @jit(static_argnames="power")
    def raised(x: jax.Array, *, power: int) -> jax.Array:
        traces.append(power)
        return jnp.power(x, power)

    for power in (2, 3, 2, 3):
        assert raised(jnp.asarray(2), power=power) == 2**power
    assert traces == [2, 3]


def test_static_positions_and_no_options() -> None:
    assert jit(static_argnums=1)(lambda x, n: x * n)(jnp.asarray(3.0), 2) == 6
    assert jit()(lambda x: x + x)(jnp.asarray(3.0)) == 6
