"""The verb ``export``: one file, checked against the live network, predicted from without Flax."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image
from running import ROOT, check_error, train_env

from train.cli import main
from train.config import Adam
from train.errors import UserError
from train.evaluation import export
from train.evaluation.evaluator import Run, load_run
from train.evaluation.export_file import read_model
from train.experiment import Experiment

pytestmark = pytest.mark.usefixtures("plain_numerics")

WITHOUT_FLAX = """
import sys
for name in ("flax", "orbax", "optax"):
    sys.modules[name] = None  # importing it fails
from train.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def exported(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "model.stn"
    assert main(["export", "--workdir", str(finished_run), "--out", str(path)]) == 0
    return path


def test_predictions_are_those_of_the_work_directory_without_flax(
    finished_run: Path, exported: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    random = np.random.default_rng(0)
    for i in range(5):
        pixels = random.integers(0, 256, (12 + i, 12), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{i}.png")
    command = ["predict", str(tmp_path / "in"), "--batch-size", "2", "--out"]
    assert main([*command, str(tmp_path / "live"), "--workdir", str(finished_run)]) == 0
    arguments = [*command, str(tmp_path / "file"), "--model", str(exported)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_FLAX, *arguments],
        env=train_env(compilation_cache),
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    live = {path.relative_to(tmp_path / "live") for path in (tmp_path / "live").rglob("*.*")}
    assert len(live) == 2 + 5
    rows = json.loads((tmp_path / "live" / "predictions.json").read_text())
    found = json.loads((tmp_path / "file" / "predictions.json").read_text())
    for row, other in zip(rows, found, strict=True):
        assert (row["image"], row["label"]) == (other["image"], other["label"])
        assert other["theta"] == pytest.approx(row["theta"], abs=1e-5)
        assert other["probabilities"] == pytest.approx(row["probabilities"], abs=1e-4)
        assert (tmp_path / "file" / row["rectified"]).is_file()


def test_the_documented_recipe_needs_nothing_of_this_repository(exported: Path) -> None:
    page = (ROOT / "docs" / "export.md").read_text()
    (recipe,) = re.findall(r"^```py\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    alone = "import sys\nfor name in ('stn_jax', 'train', 'flax'): sys.modules[name] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", alone + recipe], cwd=exported.parent, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\['([012])'(, '\1'){4}\]\n", done.stdout)


def test_the_file_serves_any_batch_and_says_what_it_is(finished_run: Path, exported: Path) -> None:
    metadata, call = read_model(exported)
    assert metadata["class_names"] == ["0", "1", "2"]
    assert metadata["result"].startswith("test error")
    assert metadata["platforms"] == ["cpu", "cuda", "tpu"]
    assert 0 <= metadata["difference"] <= export.TOLERANCE
    for size in (1, 5):
        found = call(np.zeros((size, *metadata["input_shape"]), np.uint8))
        assert found["probabilities"].shape == (size, 3)
        assert found["warps"][0]["theta"].shape == (size, 6)
        assert found["warps"][0]["features"].shape == (size, 8, 8, 1)


def test_what_differs_from_the_live_network_is_not_written(
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def damage(run: Run) -> bytes:
        params = {name: 0.9 * value for name, value in run.params.items()}
        return make_program(run._replace(params=params))

    make_program = export.make_program
    monkeypatch.setattr(export, "make_program", damage)
    command = ["export", "--workdir", str(finished_run), "--out", str(tmp_path / "model.stn")]
    assert main(command) == 1
    assert "differs from the live one by" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_data_that_have_moved_are_not_needed(
    damaged_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.loads((damaged_run / "config.json").read_text())
    config["data"]["name"] = "moved.npz"
    (damaged_run / "config.json").write_text(json.dumps(config))
    assert main(["export", "--workdir", str(damaged_run)]) == 0
    assert "4 images of noise" in capsys.readouterr().out
    assert (damaged_run / "model.stn").is_file()


def test_files_of_others_are_not_overwritten(
    finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").write_text("mine")
    command = ["export", "--workdir", str(finished_run), "--out"]
    assert main([*command, str(tmp_path / "mine")]) == 2
    check_error(capsys, ["mine is not an exported network"])
    assert main(["export", "--workdir", str(tmp_path / "nosuch")]) == 2
    check_error(capsys, ["holds no run"])


@dataclass(frozen=True)
class CountsImages:
    """A network whose code needs to know the batch size."""

    def build(self, input_shape: Any, num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        return _CountsImages(int(np.prod(input_shape)), num_outputs, rngs)


class _CountsImages(nnx.Module):
    def __init__(self, pixels: int, classes: int, rngs: nnx.Rngs) -> None:
        self.logits = nnx.Linear(pixels, classes, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.logits(x.reshape(len(x), -1))


def test_a_network_of_one_batch_size_is_refused(finished_run: Path, experiment: Experiment) -> None:
    run = load_run(finished_run, data=False)
    config = replace(experiment.config, model=CountsImages(), optim=Adam())
    other = Experiment.from_config(config, spec=experiment.spec)
    with pytest.raises(UserError, match=r"say x\.shape\[0\] for len\(x\)"):
        export.make_program(run._replace(experiment=other, params=other.init().params))
