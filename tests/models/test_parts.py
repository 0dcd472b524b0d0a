"""Parts: each config of the package is one, and so is a user's own that builds what is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

import stn_jax as stn
from stn_jax import models


@dataclass(frozen=True)
class Brightness:
    """A classifier of one layer, as a user may write it."""

    def build(
        self, input_shape: tuple[int, ...], num_classes: int, *, rngs: nnx.Rngs
    ) -> Callable[[jax.Array], jax.Array]:
        layer = nnx.Linear(input_shape[-1], num_classes, rngs=rngs)
        return nnx.Sequential(lambda x: jnp.mean(x, axis=(1, 2)), layer)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        (models.FCN(), models.Classifier),
        (models.CNN(), models.Classifier),
        (models.Projection(), models.Classifier),
        (Brightness(), models.Classifier),
        (models.FullyConnectedLocalizer(), models.Localizer),
        (models.ConvolutionalLocalizer(), models.Localizer),
        (models.StridedLocalizer(), models.Localizer),
        (models.GeometricPredictor(), models.Localizer),
        (models.ResidualBackbone(), models.Backbone),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_part_is_what_it_builds(part: Any, kind: type[Any]) -> None:
    assert isinstance(part, kind)
    assert not isinstance(stn.Affine(), kind)


def test_a_part_of_a_users_own_is_built_in() -> None:
    part = models.STN(Brightness(), models.FullyConnectedLocalizer((4,)))
    network = part.build((6, 6, 1), 3, rngs=nnx.Rngs(0))
    assert network(jnp.ones((2, 6, 6, 1), jnp.float32)).shape == (2, 3)
