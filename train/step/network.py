"""A network as a pure function of its parameters, a flat dictionary of named arrays.

The names, such as ``"transformer.localization.head.kernel"``, appear in error messages and
checkpoints, and select the parameters with a learning rate of their own.
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
from train.config.parts import ModelConfig
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
"""Values of ``model.transform``."""


@dataclass(frozen=True)
class Network:
    """A function from parameters and images to predictions.

    Attributes:
        graph: graph definition of the Flax module.
        paths: path of each named parameter in the module.
        identity: theta of the identity, ``(num_params,)``; None without a transformer.
        uses_dropout: whether it needs keys in training.
        init: returns the initial parameters; call it inside `jax.jit`.
    """

    graph: nnx.GraphDef
    paths: dict[str, tuple[Any, ...]]
    identity: np.ndarray | None
    uses_dropout: bool
    init: Callable[[], Params]

    def __call__(
        self, params: Params, images: jax.Array, keys: jax.Array | None = None
    ) -> Prediction:
        """Returns the prediction for images ``(b, h, w, c)`` in [0, 1].

        In training a network with dropout needs ``keys``, one for each image.
        """
        flat = {self.paths[name]: nnx.Param(value) for name, value in params.items()}
        module = nnx.merge(self.graph, nnx.from_flat_state(flat))
        options = {} if keys is None else {"keys": keys}
        return module.forward(images, **options)


def build_network(
    config: ModelConfig, input_shape: tuple[int, int, int], num_classes: int, seed: int
) -> Network:
    """Builds a network without computing its parameters.

    Args:
        config: name and sizes of the network.
        input_shape: ``(h, w, c)`` of its input.
        num_classes: number of labels.
        seed: seed of the initial parameters.

    Raises:
        UserError: if the network cannot be built for this input shape.
    """
    transform = TRANSFORMS[config.transform]

    def make_module() -> nnx.Module:
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
        flat = nnx.to_flat_state(nnx.state(make_module(), nnx.Param))
        return {_join_path(path): jnp.asarray(leaf[...]) for path, leaf in flat}

    try:
        graph, state = nnx.split(nnx.eval_shape(make_module), nnx.Param)
    except ValueError as error:
        raise UserError(f"model: {error}") from error
    paths = {_join_path(path): path for path, _ in nnx.to_flat_state(state)}
    has_transformer = config.name not in ("fcn", "cnn")
    identity = np.asarray(transform.identity(), np.float32) if has_transformer else None
    return Network(graph, paths, identity, config.name == "tutorial", init)


def _join_path(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))
