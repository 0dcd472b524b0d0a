"""What a run is made of: frozen, typed, checked when made. A file in ``configs/`` returns one.

This module imports neither JAX nor data, so that a mistake is refused at once.
"""

from dataclasses import dataclass
from typing import Literal

from train.fields import check


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are distorted."""

    name: str = "bundled"
    """bundled, mnist (or another tensorflow-datasets set), a .npz file, or a folder of images."""
    distortion: Literal["none", "R", "RTS", "P", "E", "TC"] = "RTS"
    """The paper's distortions of table 1, drawn anew for every example of every epoch."""
    canvas: int = 42
    """Side of the distorted image in pixels; 0 takes the distortion's own."""
    data_dir: str | None = None
    """Where prepared tensorflow-datasets data lie; None is ~/.cache/stn_jax."""
    manual_dir: str | None = None
    """Folder with the four original MNIST .gz files, for a machine without internet."""
    valid_fraction: float = 0.0
    """Fraction of the training images set aside to choose the best checkpoint by."""
    image_size: int = 0
    """Images are resized to this side; 0 asks a folder's images to be equal."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "data", not_negative=("canvas", "image_size"), fraction=("valid_fraction",))


@dataclass(frozen=True)
class ModelConfig:
    """The network; None and 0 take the paper's value. See `stn_jax.models.distorted_mnist`."""

    name: Literal["fcn", "cnn", "st_fcn", "st_cnn", "tutorial"] = "st_cnn"
    """The row of the paper's table 1; st_ puts a spatial transformer in front. tutorial is the
    network of PyTorch's tutorial, of which only transform and padding_mode can be chosen."""
    transform: Literal[
        "affine",
        "projective",
        "tps",
        "attention",
        "translation",
        "similarity",
        "rigid",
        "diffeomorphic",
        "flow",
        "velocity",
    ] = "affine"
    """What the transformer's theta parameterises; tps has 4 x 4 control points, diffeomorphic is
    the matrix exponential, flow and velocity have fields of 4 x 4 and 8 x 8 points."""
    output_shape: tuple[int, int] | None = None
    """Height and width of the transformer's output; None keeps the input's."""
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros"
    """What the transformer reads outside the image."""
    localization: Literal["fc", "conv"] | None = None
    """Kind of localization network; None is the classifier's own kind."""
    localization_hidden: tuple[int, ...] | None = None
    """Units of the localization network's fully connected layers."""
    localization_filters: tuple[int, ...] = (20, 20)
    """Filters of the localization network's convolutions."""
    localization_shrink: int = 0
    """The localization network averages this many pixels along each axis first."""
    shrink: int = 1
    """The CNN averages this many pixels along each axis first."""
    filters: tuple[int, ...] = (32, 64)
    """Filters of the CNN's convolutions."""
    kernel_sizes: tuple[int, ...] = (9, 7)
    """Sides of the CNN's kernels."""
    hidden: tuple[int, ...] | None = None
    """Units of the classifier's fully connected layers."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "model",
            positive=(
                *("output_shape", "shrink", "filters", "kernel_sizes", "hidden"),
                *("localization_hidden", "localization_filters"),
            ),
            not_negative=("localization_shrink",),
        )
        if len(self.filters) != len(self.kernel_sizes):
            raise ValueError(
                f"model.kernel_sizes={self.kernel_sizes} does not fit; model.filters="
                f"{self.filters} needs one kernel size for each entry."
            )


@dataclass(frozen=True)
class OptimConfig:
    """The objective and how it is brought down."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """sgd has momentum, see optim.momentum."""
    learning_rate: float = 1e-3
    """Peak of the schedule."""
    schedule: Literal["constant", "cosine", "linear", "step"] = "cosine"
    """After the warm-up: keep, fall to 0 along a half cosine or a line, or fall in steps."""
    warmup_steps: int = 0
    """The rate rises linearly from 0 for so many steps."""
    decay_every: int = 50_000
    """Schedule step: the rate is multiplied by optim.decay_factor after so many steps."""
    decay_factor: float = 0.1
    """See optim.decay_every."""
    momentum: float = 0.9
    """Of sgd."""
    clip_norm: float = 0.0
    """The whole gradient is scaled down to this norm where it is longer; 0 is off."""
    weight_decay: float = 0.0
    """Each step takes rate x this from every kernel and no bias (decoupled, as in AdamW)."""
    localization_rate: float = 1.0
    """The localization network's rate is this times the rate of the rest."""
    label_smoothing: float = 0.0
    """This share of the target is spread evenly over all classes."""
    outside_penalty: float = 0.0
    """Adds this times the mean distance by which the grid leaves [-1, 1]."""
    identity_penalty: float = 0.0
    """Adds this times the mean squared distance of theta from the identity."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "optim",
            positive=("learning_rate", "decay_every", "decay_factor"),
            not_negative=(
                *("warmup_steps", "clip_norm", "weight_decay", "localization_rate"),
                *("outside_penalty", "identity_penalty"),
            ),
            fraction=("momentum", "label_smoothing"),
        )


@dataclass(frozen=True)
class TrainConfig:
    """How long, how large, how often."""

    steps: int = 1000
    """Optimiser steps."""
    batch_size: int = 128
    """Images of a step, over all devices."""
    eval_batch_size: int = 500
    """Images of an evaluation step; the result does not depend on it."""
    log_every: int = 50
    """Training numbers are fetched, averaged and logged every so many steps."""
    eval_every: int = 500
    """The validation images (or, where there are none, the test images) are judged so often."""
    checkpoint_every: int = 500
    """The state is saved every so many steps, and at the end."""
    steps_per_dispatch: int = 0
    """Steps in one call of the device; 0 is 1 on a CPU and up to 16 on accelerators."""
    seed: int = 0
    """Decides initial weights, order of examples and their distortions."""
    average: float = 0.0
    """Decay of the running average of parameters that is evaluated; 0 evaluates the last ones."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "train",
            positive=(
                *("steps", "batch_size", "eval_batch_size"),
                *("log_every", "eval_every", "checkpoint_every"),
            ),
            not_negative=("steps_per_dispatch", "seed"),
            fraction=("average",),
        )


@dataclass(frozen=True)
class Config:
    """A run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        """Checks types."""
        check(self, "config")
