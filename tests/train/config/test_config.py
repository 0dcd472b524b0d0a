"""Configs: parts, what is refused, and every file in configs/."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

import stn_jax as stn
from stn_jax.models import CNN, FCN, STN
from train.config import SGD, Adam, Config, CrossEntropy, Images, Rotation, TrainConfig
from train.config.config import walk


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Adam(learning_rate=-1), "optim.learning_rate=-1.0 .* above 0"),
        (lambda: SGD(momentum=1.0), r"optim.momentum=1.0 .* \[0, 1\)"),
        (lambda: Adam(clip_norm=-1), "optim.clip_norm=-1.0 .* 0 or above"),
        (lambda: CrossEntropy(label_smoothing=1), r"task.loss.label_smoothing=1.0 .* \[0, 1\)"),
        (lambda: TrainConfig(batch_size=0), "train.batch_size=0 .* above 0"),
        (lambda: TrainConfig(average=1.5), "train.average=1.5"),
        (lambda: TrainConfig(seed=1 << 70), "train.seed=.* below 2"),
        (lambda: Rotation(canvas=-1), "distortion.canvas=-1 .* 0 or above"),
        (lambda: Images(valid_fraction=1.0), "data.valid_fraction=1.0"),
        (lambda: CNN(filters=(8,)), "kernel_sizes=.*one kernel size for each"),
        (lambda: Config(FCN(8)), "model.hidden=8 .* tuple"),  # type: ignore[arg-type]
        (lambda: Config(STN(transform=3)), "model.transform=3 is a int; it must be a Transform"),  # type: ignore[arg-type]
        (lambda: Config(FCN(), optim="adam"), "config.optim='adam' .* must be a part"),
        (lambda: Config(FCN), "config.model=.*FCN.* must be a part: an instance"),
        (lambda: Config(stn.Affine()), "config.model=Affine.* with a method build"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@dataclass(frozen=True)
class Mine:
    """A user's own part, without checks."""

    size: int = 3

    def build(self) -> None:
        """Builds nothing."""


def test_types_of_a_users_own_parts_are_checked() -> None:
    assert Config(Mine(4)).model.size == 4
    with pytest.raises(ValueError, match=r"model\.size='big' is a str; it must be an int"):
        Config(Mine("big"))  # type: ignore[arg-type]


def test_parts_inside_parts_are_found() -> None:
    paths = [path for path, _ in walk(Config(STN()))]
    assert {"model", "model.transform", "model.classifier", "optim.schedule", "task.loss"} <= {
        *paths
    }


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config(FCN()).train.steps = 3  # type: ignore[misc]
