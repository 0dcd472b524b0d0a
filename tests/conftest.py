"""Strict numerics for every test: float64 where asked for, no silent change of dtype or rank."""

from collections.abc import Iterator

import jax
import jaxtyping
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def forget_programs() -> Iterator[None]:
    """Drops a module's compiled programs: those of all modules take gigabytes, and slow tests."""
    yield
    jax.clear_caches()


@pytest.fixture
def no_annotations() -> Iterator[None]:
    """Lets a function see arguments of a wrong type, which annotations would refuse first."""
    was = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", was)
