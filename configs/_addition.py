"""What the rows of the paper's MNIST addition (appendix A.1) share.

Two digits, each rotated, scaled and shifted on a channel of 42 x 42; the recipe is table 1's.
"""

from dataclasses import replace
from typing import Any

import stn_jax as stn
from configs import _mnist
from configs._windows import keep_windows_inside
from stn_jax.models import ParallelSTN
from train.config import RTS, Addition, Config


def row(model: Any) -> Config:
    """Returns the config of a network."""
    return replace(_mnist.row(RTS(), model), task=Addition())


def transformer_row(model: Any) -> Config:
    """Returns the config of a network with transformers.

    At the rate of the other layers, one of two transformers left the image for good, and the error
    was 23.7 %. A smaller rate and a penalty on samples outside keep both inside.
    """
    return keep_windows_inside(row(model))


def parallel(transform: stn.Transform) -> ParallelSTN:
    """Returns two transformers side by side, each of which writes a digit's 28 x 28 pixels."""
    return ParallelSTN(transform=transform, output_shape=(28, 28))
