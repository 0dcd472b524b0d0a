"""What describes images: the activations of the layers of a CNN that was trained before."""

import os
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from stn_jax.nn.localization import flatten
from train.errors import UserError
from train.evaluation.evaluator import load_run


class Encoder:
    """A trained CNN as a function from images to the activations of its layers, the logits last.

    The activations of a dark image are subtracted, so that those of nothing are 0. Weights are
    constants.

    Args:
        classifier: as `stn_jax.models.CNN` builds it, with NumPy arrays as parameters.
    """

    def __init__(self, classifier: Any):
        self.classifier = classifier
        self.input_shape: tuple[int, ...] = classifier.features.input_shape
        dark = classifier.activations(np.zeros((1, *self.input_shape), np.float32))
        self.dark = [np.asarray(flatten(layer)) for layer in dark]

    def __call__(self, images: Float[Array, "b h w c"]) -> list[Float[Array, "b f"]]:
        """Returns a vector of each image for each layer."""
        layers = self.classifier.activations(images)
        return [flatten(x) - dark for x, dark in zip(layers, self.dark, strict=True)]


def load_encoder(workdir: str) -> Encoder:
    """Returns the CNN of a work directory, with its best parameters.

    Raises:
        UserError: if there is no such run, or it is not one of a CNN.
    """
    try:
        run = load_run(Path(os.path.expanduser(workdir)), data=False)
    except UserError as error:
        raise UserError(
            f"task.encoder={workdir!r} cannot be used: {error} It is the finished run of a CNN: "
            f"python -m train fit configs/mnist_r_cnn.py --workdir {workdir}"
        ) from error
    module = run.experiment.network.module(jax.device_get(run.params))
    classifier = getattr(module, "classifier", None)
    if not hasattr(classifier, "activations"):
        raise UserError(
            f"task.encoder={workdir!r} holds a run of {type(run.experiment.config.model).__name__};"
            " only a CNN describes images by its layers."
        )
    return Encoder(classifier)
