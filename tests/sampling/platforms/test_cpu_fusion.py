"""What a CPU's compiler fuses, and what it must not."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax.sampling.platforms.cpu_fusion import materialize, materialize_input


def test_what_is_settled_is_what_it_was() -> None:
    x = jnp.arange(12.0).reshape(4, 3).at[0, 0].set(jnp.nan)
    for kept, array in zip(jax.jit(materialize)([x, -x, x > 4]), (x, -x, x > 4), strict=True):
        assert kept.dtype == array.dtype
        np.testing.assert_array_equal(kept, array)


@pytest.mark.parametrize("bad", [0, 3])
def test_what_is_made_once_is_what_it_was(bad: int) -> None:
    x = jnp.arange(12.0).reshape(4, 3).at[bad, 0].set(jnp.nan)
    np.testing.assert_array_equal(jax.jit(materialize_input)(x), x)
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(3 * materialize_input(x)))(x), 3)
    np.testing.assert_array_equal(jax.vmap(materialize_input)(x), x)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about XLA:CPU")
def test_what_is_made_once_is_made_once() -> None:
    """Without it XLA:CPU takes a sine for each of the nine windows that read it."""
    windows = np.arange(20, dtype=np.int32)[:, None] + np.arange(9, dtype=np.int32)

    def loops_that_read_and_take_sines(keep: Callable[..., Any]) -> int:
        function = jax.jit(lambda x: jnp.take(keep(jnp.sin(x)), windows, axis=1, mode="clip"))
        text = function.lower(jnp.ones((8, 28), jnp.float32)).compile().as_text()
        bodies = re.findall(r"^%.*?^}", str(text), flags=re.MULTILINE | re.DOTALL)
        return sum(" sine(" in body and " gather(" in body for body in bodies)

    assert loops_that_read_and_take_sines(materialize_input) == 0
    assert loops_that_read_and_take_sines(lambda y: y) > 0
