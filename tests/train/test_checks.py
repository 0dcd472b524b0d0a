"""Config fields: conversions, and JSON."""

import pytest
from train.config.fields import flatten, from_dict, to_dict
from train.config.parts import Config, ModelConfig, OptimConfig, TrainConfig


def test_lists_become_tuples_and_integers_become_floats() -> None:
    assert ModelConfig(filters=[4, 8]).filters == (4, 8)
    assert isinstance(OptimConfig(learning_rate=1).learning_rate, float)


def test_dict_round_trip() -> None:
    config = Config(
        model=ModelConfig(hidden=(3, 4), output_shape=(5, 6)), train=TrainConfig(seed=7)
    )
    assert from_dict(Config, to_dict(config)) == config
    assert flatten(to_dict(config))["model.hidden"] == [3, 4]
    with pytest.raises(ValueError, match="TrainConfig has no field 'stepz'"):
        from_dict(Config, {"train": {"stepz": 1}})
