"""Configurations: what is refused and how it is said, and every file in configs/."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from train.cli import load_config
from train.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from train.errors import UserError
from train.fields import flatten, from_dict, to_dict

ROOT = Path(__file__).parents[2]
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
def test_impossible_values_are_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_lists_become_tuples_and_whole_numbers_floats() -> None:
    assert ModelConfig(filters=[4, 8]).filters == (4, 8)
    assert isinstance(OptimConfig(learning_rate=1).learning_rate, float)


def test_json_round_trip() -> None:
    config = Config(
        model=ModelConfig(hidden=(3, 4), output_shape=(5, 6)), train=TrainConfig(seed=7)
    )
    assert from_dict(Config, to_dict(config)) == config
    assert flatten(to_dict(config))["model.hidden"] == [3, 4]
    with pytest.raises(ValueError, match="TrainConfig has no field 'stepz'"):
        from_dict(Config, {"train": {"stepz": 1}})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_files_load_and_state_command_cost_and_expectation(path: Path) -> None:
    assert isinstance(load_config(path), Config)
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"Command:  python -m train fit configs/{path.name}" in docstring
    assert "Cost:" in docstring
    assert "Expected:" in docstring


def test_the_quickstart_and_its_twin_differ_in_the_transformer_alone() -> None:
    one, other = (to_dict(load_config(ROOT / f"configs/quickstart{n}.py")) for n in ("", "_cnn"))
    differing = {name for name, value in flatten(one).items() if flatten(other)[name] != value}
    assert differing == {"model.name", "model.shrink"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "from train.config import *\nget_config = lambda: Config(train=TrainConfig(stepz=1))",
            "TrainConfig has no field 'stepz'; perhaps you meant 'steps'",
        ),
        (
            "from train.config import *\nget_config = lambda: Config(train=TrainConfig(steps=-1))",
            "train.steps=-1 does not fit",
        ),
        ("get_config = lambda: 3", "returned an object of type int"),
        ("x = 1", "it has no get_config"),
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("x = = 1", "SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_config_file_is_said(
    tmp_path: Path, source: str, message: str
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UserError, match=message):
        load_config(path)


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.steps = 3  # type: ignore[misc]


def test_the_command_line_is_read_without_jax() -> None:
    code = "import sys, train.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
