"""The config of a run: frozen dataclasses, checked on construction; see ``configs/``.

This module does not import JAX, so that mistakes are reported at once.
"""

from dataclasses import dataclass
from typing import Literal

from train.config.fields import check


@dataclass(frozen=True)
class DataConfig:
    """The images and their distortion."""

    name: str = "bundled"
    """bundled, mnist (or another tensorflow-datasets set), an .npz file, or a folder of images."""
    distortion: Literal["none", "R", "RTS", "P", "E", "TC"] = "RTS"
    """Distortion of the paper's table 1, drawn anew for every image in every epoch."""
    canvas: int = 42
    """Side of the distorted image in pixels; 0 uses the default of the distortion."""
    data_dir: str | None = None
    """Folder of prepared tensorflow-datasets data; None is ~/.cache/stn_jax."""
    manual_dir: str | None = None
    """Folder with the four original MNIST .gz files, for machines without internet access."""
    valid_fraction: float = 0.0
    """Fraction of the training images for validation, which chooses the best checkpoint."""
    image_size: int = 0
    """Side that images are resized to; 0 requires the images of a folder to have one size."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "data", not_negative=("canvas", "image_size"), fraction=("valid_fraction",))


@dataclass(frozen=True)
class ModelConfig:
    """The network; None and 0 use the paper's value. See `stn_jax.models.distorted_mnist`."""

    name: Literal["fcn", "cnn", "st_fcn", "st_cnn", "tutorial"] = "st_cnn"
    """Row of the paper's table 1; st_ puts a spatial transformer in front. tutorial is the network
    of PyTorch's tutorial, which only uses the options transform and padding_mode."""
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
    """Family of the transformer; tps has 4 x 4 control points, diffeomorphic is the matrix
    exponential, flow and velocity have fields of 4 x 4 and 8 x 8 points."""
    output_shape: tuple[int, int] | None = None
    """Height and width of the transformer's output; None keeps the input's."""
    padding_mode: Literal["zeros", "border", "reflection"] = "zeros"
    """Padding of the transformer's sampler outside the image."""
    localization: Literal["fc", "conv"] | None = None
    """Kind of localization network; None is the kind of the classifier."""
    localization_hidden: tuple[int, ...] | None = None
    """Units of the localization network's fully connected layers."""
    localization_filters: tuple[int, ...] = (20, 20)
    """Filters of the localization network's convolutions."""
    localization_shrink: int = 0
    """Factor by which the localization network first averages its input along each axis."""
    shrink: int = 1
    """Factor by which the CNN first averages its input along each axis."""
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
                f"model.kernel_sizes={self.kernel_sizes} is not allowed; model.filters="
                f"{self.filters} needs one kernel size for each entry."
            )


@dataclass(frozen=True)
class OptimConfig:
    """The objective and the optimiser."""

    optimizer: Literal["adam", "sgd"] = "adam"
    """sgd uses optim.momentum."""
    learning_rate: float = 1e-3
    """Peak learning rate of the schedule."""
    schedule: Literal["constant", "cosine", "linear", "step"] = "cosine"
    """After the warm-up: constant, decay to 0 as a half cosine or linearly, or decay in steps."""
    warmup_steps: int = 0
    """Number of steps over which the rate rises linearly from 0."""
    decay_every: int = 50_000
    """Schedule step: number of steps after which the rate is multiplied by optim.decay_factor."""
    decay_factor: float = 0.1
    """Schedule step: factor of the rate, see optim.decay_every."""
    momentum: float = 0.9
    """Momentum of sgd."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient, which is scaled down to it; 0 is off."""
    weight_decay: float = 0.0
    """Decoupled weight decay of kernels, as in AdamW; biases have none."""
    localization_rate: float = 1.0
    """Learning rate of the localization network, relative to the other parameters."""
    label_smoothing: float = 0.0
    """Fraction of the target that is spread evenly over all classes."""
    outside_penalty: float = 0.0
    """Weight of a penalty: the mean distance of grid points outside [-1, 1] from it."""
    identity_penalty: float = 0.0
    """Weight of a penalty: the mean squared distance of theta from the identity."""

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
    """Length of the run, batch sizes and intervals."""

    steps: int = 1000
    """Number of optimiser steps."""
    batch_size: int = 128
    """Images for each step, over all devices."""
    eval_batch_size: int = 500
    """Images for each evaluation step; the result does not depend on it."""
    log_every: int = 50
    """Interval, in steps, of logging the mean training metrics."""
    eval_every: int = 500
    """Interval, in steps, of evaluation on the validation images, or else on the test images."""
    checkpoint_every: int = 500
    """Interval, in steps, of checkpoints; there is one at the end too."""
    steps_per_dispatch: int = 0
    """Optimiser steps for each dispatch; 0 is 1 on a CPU and up to 16 on accelerators."""
    seed: int = 0
    """Seed of the initial weights, the order of the images and their distortions."""
    average: float = 0.0
    """Decay of the running average of parameters used for evaluation; 0 uses the last ones."""

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
    """The config of a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        """Checks types."""
        check(self, "config")
