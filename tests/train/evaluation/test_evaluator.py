"""Evaluation: results do not depend on the batch size, and data that changed are detected."""

import json
from pathlib import Path

import numpy as np
import pytest
from running import modification_times

from train.cli import main
from train.evaluation.evaluator import Evaluator
from train.experiment import Experiment

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_metrics_do_not_depend_on_the_batch_size(experiment: Experiment) -> None:
    evaluator, params = Evaluator(experiment), experiment.init().params
    whole, batched = (evaluator.evaluate(params, "test", size) for size in (21, 8))
    probabilities = whole.outputs["probabilities"]
    np.testing.assert_allclose(probabilities, batched.outputs["probabilities"], rtol=1e-5)
    np.testing.assert_allclose(whole.metrics["loss"], batched.metrics["loss"], rtol=1e-5)
    np.testing.assert_array_equal(whole.targets, evaluator.arrays["test"]["labels"])
    numbers = evaluator.summarize(whole)
    wrong = np.mean(probabilities.argmax(axis=-1) != whole.targets)
    assert numbers["error"] == pytest.approx(100 * wrong)
    assert numbers["theta_distance"] == 0
    assert numbers["outside"] == 0


def test_evaluate_prints_the_error_of_the_run_for_any_batch_size(
    finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = modification_times(finished_run)
    summary = json.loads((finished_run / "summary.json").read_text())
    for options in ([], ["--batch-size", "4"]):
        assert main(["evaluate", "--workdir", str(finished_run), *options]) == 0
        assert f"test error {summary['test_error']:.2f} %" in capsys.readouterr().out
    assert main(["evaluate", "--workdir", str(finished_run), "--split", "valid"]) == 0
    assert f"valid error {summary['valid_error']:.2f} %" in capsys.readouterr().out
    assert modification_times(finished_run) == before


def test_changed_data_are_refused(
    finished_run: Path, tiny_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tiny_config.parent / "digits.npz"
    kept = path.read_bytes()
    arrays = dict(np.load(path))
    arrays["x_test"] = arrays["x_test"] // 2
    try:
        np.savez(path, **arrays)
        assert main(["evaluate", "--workdir", str(finished_run)]) == 2
    finally:
        path.write_bytes(kept)
    assert "on other data: crc32" in capsys.readouterr().err
