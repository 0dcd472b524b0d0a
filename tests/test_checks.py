"""Argument checks that annotations already refuse in tests, and that users without them meet."""

import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from stn_jax import _checks as checks


@pytest.mark.parametrize(
    ("antialias", "max_levels", "words"),
    [
        (None, None, "antialias=None must be True or False"),
        (2, None, "antialias=2"),
        (2.5, None, "antialias=2.5"),
        (True, 1.5, "max_levels=1.5 must be an integer"),
        (True, True, "max_levels=True"),
    ],
)
def test_what_is_neither_true_nor_a_count_is_refused(
    antialias: Any, max_levels: Any, words: str
) -> None:
    with pytest.raises(TypeError, match=re.escape(words)):
        checks.antialias(antialias, "bilinear", max_levels)


def test_numpys_true_is_true_and_its_integers_are_integers() -> None:
    checks.antialias(np.True_, "bilinear", np.int64(2))
    checks.antialias(np.False_, "nearest")


@pytest.mark.parametrize("fill", [0, 0.0, np.float32(0), jnp.zeros(2), [0.0]])
def test_a_fill_of_zero_is_the_default_whatever_its_type(fill: Any) -> None:
    assert checks.fill(fill, "zeros", 2, has_fill=False) is None


@pytest.mark.parametrize("fill", [[1.0, 2.0], (1, 2), np.array([1, 2]), jnp.array([1.0, 2.0])])
def test_a_fill_is_a_floating_array(fill: Any) -> None:
    array = checks.fill(fill, "fill", 2, has_fill=True)
    assert array is not None
    assert jnp.issubdtype(array.dtype, jnp.floating)
    np.testing.assert_array_equal(array, [1, 2])


@pytest.mark.parametrize("shape", [(2.5, 3), ("a", 2), (2, None)])
def test_a_shape_is_integers(shape: Any) -> None:
    with pytest.raises(ValueError, match=r"shape=.*must be integers"):
        checks.static_shape(shape)
    sizes: list[Any] = [np.int64(2), 3]
    assert checks.static_shape(sizes) == (2, 3)
