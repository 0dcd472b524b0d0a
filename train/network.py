"""A network as a pure function of its parameters, which are a flat dictionary of named arrays.

``{"transformer.localization.head.kernel": ..., ...}``: names say which array went bad, which gets
its own learning rate, and what a checkpoint holds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import stn_jax as stn
from stn_jax.models import DistortedMnistConfig, Prediction, TutorialConfig
from train.config import ModelConfig
from train.errors import UserError

Params = dict[str, jax.Array]

TRANSFORMS: dict[str, stn.Transform] = {
    "affine": stn.Affine(),
    "projective": stn.Projective(),
    "tps": stn.ThinPlateSpline((4, 4)),
    "attention": stn.Attention(),
    "translation": stn.Translation(),
    "similarity": stn.Similarity(),
    "rigid": stn.Rigid(),
    "diffeomorphic": stn.AffineDiffeomorphic(),
    "flow": stn.Flow((4, 4), align_corners=True),
    "velocity": stn.Velocity((8, 8), align_corners=True),
}
"""What ``model.transform`` may name."""


@dataclass(frozen=True)
class Network:
    """Parameters and images in, predictions out.

    Attributes:
        graph: the structure of the Flax module.
        paths: where each named parameter sits in it.
        identity: the identity's theta, ``(num_params,)``; None without a transformer.
        draws: whether it draws random numbers in training (dropout).
        init: returns the initial parameters; to be called inside `jax.jit`.
    """

    graph: nnx.GraphDef
    paths: dict[str, tuple[Any, ...]]
    identity: np.ndarray | None
    draws: bool
    init: Callable[[], Params]

    def __call__(
        self, params: Params, images: jax.Array, keys: jax.Array | None = None
    ) -> Prediction:
        """Returns the prediction for images ``(b, h, w, c)`` in [0, 1].

        In training a network that draws gets ``keys``, one for each image.
        """
        flat = {self.paths[name]: nnx.Param(value) for name, value in params.items()}
        module = nnx.merge(self.graph, nnx.from_flat_state(flat))
        options = {} if keys is None else {"keys": keys}
        return module.forward(images, **options)


def build_network(
    config: ModelConfig, input_shape: tuple[int, int, int], num_classes: int, seed: int
) -> Network:
    """Builds a network; nothing is computed yet.

    Args:
        config: which network.
        input_shape: ``(h, w, c)`` of the images it sees.
        num_classes: number of labels.
        seed: decides the initial parameters.

    Raises:
        UserError: for a network that does not fit the images.
    """
    transform = TRANSFORMS[config.transform]

    def make() -> nnx.Module:
        if config.name == "tutorial":
            parts: TutorialConfig | DistortedMnistConfig = TutorialConfig(
                transform=transform, padding_mode=config.padding_mode
            )
        else:
            parts = DistortedMnistConfig(
                config.name,
                transform=transform,
                output_shape=config.output_shape,
                shrink=config.shrink,
                hidden=config.hidden,
                filters=config.filters,
                kernel_sizes=config.kernel_sizes,
                localization=config.localization,
                localization_hidden=config.localization_hidden,
                localization_filters=config.localization_filters,
                localization_shrink=config.localization_shrink or None,
                padding_mode=config.padding_mode,
            )
        return parts.build(input_shape, num_classes, rngs=nnx.Rngs(seed))

    def init() -> Params:
        flat = nnx.to_flat_state(nnx.state(make(), nnx.Param))
        return {_name(path): jnp.asarray(leaf[...]) for path, leaf in flat}

    try:
        graph, state = nnx.split(nnx.eval_shape(make), nnx.Param)
    except ValueError as error:
        raise UserError(f"model: {error}") from error
    paths = {_name(path): path for path, _ in nnx.to_flat_state(state)}
    plain = config.name in ("fcn", "cnn")
    identity = None if plain else np.asarray(transform.identity(), np.float32)
    return Network(graph, paths, identity, config.name == "tutorial", init)


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
