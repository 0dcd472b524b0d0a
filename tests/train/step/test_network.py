"""Networks: the names that a config can choose."""

import typing

from train.config.parts import ModelConfig
from train.step.network import TRANSFORMS


def test_transforms_match_the_config() -> None:
    hints = typing.get_type_hints(ModelConfig)
    assert set(typing.get_args(hints["transform"])) == set(TRANSFORMS)
