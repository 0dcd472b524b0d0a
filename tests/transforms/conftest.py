"""What tests of several families need."""

from collections.abc import Iterator

import jaxtyping
import pytest


@pytest.fixture
def no_annotations() -> Iterator[None]:
    """Lets a function see arguments of a wrong type, which annotations would refuse first."""
    was = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", was)
