"""Every config in configs/: it says what it costs, it is built, it is trained and resumed."""

import ast
import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from brain import make_brain, write_volume
from running import ROOT, interrupt_after

from train.cli import main
from train.config import BrainVolume, Config, Images
from train.config.files import load_config
from train.config.serialize import flatten, from_dict, to_dict
from train.experiment import Experiment

pytestmark = pytest.mark.usefixtures("plain_numerics", "compilation_cache")

CONFIGS = sorted((ROOT / "configs").glob("[!_]*.py"))
SAMPLE = ("quickstart_cnn", "mnist_r_fcn", "mnist_e_st_cnn_tps", "mnist_tc_cnn", "registration_mni")
"""Those of the quick tests; the other tests train ST-FCN on RTS."""
SHORT = (
    "--train.steps 4 --train.batch-size 4 --train.log-every 2 --train.eval-every 2 "
    "--train.checkpoint-every 2 --train.eval-batch-size 8 --optim.warmup-steps 1"
).split()
SMALL = "--data.shape 16 24 16 --data.landmarks 20 --data.counts 40 4 4".split()
each = pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few images of the size of digits."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), np.uint8)
    labels = np.arange(40) % 10
    np.savez(path, x_train=images, y_train=labels, x_test=images[:10], y_test=labels[:10])
    return path


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small volume."""
    return write_volume(tmp_path_factory.mktemp("volume") / "brain.nii", make_brain())


@each
def test_command_cost_and_expected_error_are_stated(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert f"Command:  python -m train fit configs/{path.name}" in docstring
    assert re.search(r"^Cost: +(about )?\d", docstring, re.MULTILINE)
    expected = r"^Expected: \d+\.\d+ (% test error|voxels test distance)"
    assert re.search(expected, docstring, re.MULTILINE)


@each
def test_every_config_is_built_and_written_down(path: Path, digits: Path, brain: Path) -> None:
    config = load_config(path)
    assert from_dict(json.loads(json.dumps(to_dict(config))), Path("nowhere")) == config
    train = dataclasses.replace(config.train, batch_size=4)
    data: Any = Images(str(digits))
    if isinstance(config.data, BrainVolume):
        data = dataclasses.replace(config.data, path=str(brain))
    config = dataclasses.replace(config, data=data, train=train)
    experiment = Experiment.from_config(config)
    arrays = experiment.arrays("train")
    data = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arrays)
    after = jax.eval_shape(
        experiment.train_step, experiment.abstract_state, data, experiment.batches(0, 1)
    )
    assert after.params.keys() == experiment.abstract_state.params.keys()
    if "mnist" in path.stem:
        assert 80_000 < experiment.parameters < 500_000


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[pytest.mark.slow] * (path.stem not in SAMPLE), id=path.stem)
        for path in CONFIGS
    ],
)
def test_two_steps_evaluation_checkpoint_resumption_and_picture(
    path: Path, digits: Path, brain: Path, tmp_path: Path
) -> None:
    config = load_config(path)
    command = ["fit", str(path), "--workdir", str(tmp_path / "run"), *SHORT, *tiny(config)]
    if isinstance(config.data, BrainVolume):
        command += ["--data.path", str(brain), *SMALL]
    else:
        command += ["--data.name", str(digits), "--data.valid-fraction", "None"]
    with interrupt_after(4):
        assert main(command) == 130
    assert [p.name for p in (tmp_path / "run/checkpoints/last").iterdir()] == ["2"]
    assert main(command) == 0
    written = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in written]
    assert [(line["step"], line["split"]) for line in lines] == [
        *((2, "train"), (2, "valid"), (4, "train"), (4, "valid"), (4, "test"))
    ]
    assert list((tmp_path / "run/figures").glob("*.png"))
    assert main(["evaluate", "--workdir", str(tmp_path / "run")]) == 0


@pytest.mark.slow
@each
def test_two_steps_at_full_size(path: Path, brain: Path, tmp_path: Path) -> None:
    command = ["fit", str(path), "--workdir", str(tmp_path / "run")]
    command += ["--train.steps", "2", "--optim.warmup-steps", "1"]
    volume = isinstance(load_config(path).data, BrainVolume)
    command += ["--data.path", str(brain)] if volume else ["--data.name", "bundled"]
    assert main(command) == 0
    assert json.loads((tmp_path / "run/summary.json").read_text())["steps"] == 2


def tiny(config: Config) -> list[str]:
    """Returns options that make the layers of a network small."""
    options = []
    for path, value in flatten(to_dict(config)).items():
        if path.endswith((".hidden", ".filters", ".encoder", ".decoder")):
            options += [f"--{path}", *(["2"] * len(value))] if value else []
    return options


def test_quickstarts_differ_only_in_the_transformer() -> None:
    one, other = (load_config(ROOT / f"configs/quickstart{name}.py") for name in ("", "_cnn"))
    assert dataclasses.replace(one, model=other.model) == other
    assert dataclasses.replace(one.model.classifier, shrink=2) == other.model
