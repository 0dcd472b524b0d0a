"""Configs: which values are refused, and every file in configs/."""

import ast
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from running import ROOT
from train.config.fields import flatten, to_dict
from train.config.parts import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

from train.cli import load_config

CONFIGS = sorted((ROOT / "configs").glob("*.py"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: OptimConfig(learning_rate=-1), "optim.learning_rate=-1.0 .* above 0"),
        (lambda: OptimConfig(learning_rate=float("nan")), "optim.learning_rate=nan .* finite"),
        (
            lambda: OptimConfig(learning_rate="fast"),
            "optim.learning_rate='fast' is a str; .* float",
        ),
        (lambda: OptimConfig(momentum=1.0), r"optim.momentum=1.0 .* \[0, 1\)"),
        (lambda: OptimConfig(schedule="cosin"), "optim.schedule='cosin' .* constant, cosine"),
        (lambda: OptimConfig(clip_norm=-1), "optim.clip_norm=-1.0 .* 0 or above"),
        (lambda: TrainConfig(batch_size=0), "train.batch_size=0 .* above 0"),
        (lambda: TrainConfig(steps=2.5), "train.steps=2.5 is a float; it must be an int"),
        (lambda: TrainConfig(steps=True), "train.steps=True is a bool"),
        (lambda: TrainConfig(average=1.5), "train.average=1.5"),
        (lambda: DataConfig(distortion="rts"), "data.distortion='rts' .* RTS"),
        (lambda: DataConfig(valid_fraction=1.0), "data.valid_fraction=1.0"),
        (lambda: ModelConfig(filters=(8, 0)), r"model.filters=\(8, 0\) .* above 0"),
        (lambda: ModelConfig(filters=8), "model.filters=8 .* tuple"),
        (lambda: ModelConfig(filters=(8,)), "model.kernel_sizes=.*one kernel size for each"),
        (lambda: ModelConfig(output_shape=(24,)), r"model.output_shape=\(24,\) .* 2 items"),
        (lambda: Config(optim="adam"), "config.optim='adam' is a str; it must be an OptimConfig"),
    ],
)
def test_values_out_of_range_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_files_state_command_cost_and_expected_error(path: Path) -> None:
    assert isinstance(load_config(path), Config)
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"Command:  python -m train fit configs/{path.name}" in docstring
    assert "Cost:" in docstring
    assert "Expected:" in docstring


def test_quickstarts_differ_only_in_the_transformer() -> None:
    one, other = (to_dict(load_config(ROOT / f"configs/quickstart{n}.py")) for n in ("", "_cnn"))
    differing = {name for name, value in flatten(one).items() if flatten(other)[name] != value}
    assert differing == {"model.name", "model.shrink"}


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.steps = 3  # type: ignore[misc]
