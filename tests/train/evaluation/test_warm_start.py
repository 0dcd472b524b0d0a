"""The start of a run from the parameters of another."""

from pathlib import Path

import jax
import numpy as np
import pytest

from train.cli import main
from train.errors import UserError
from train.evaluation.evaluator import load_run
from train.evaluation.warm_start import start_from
from train.experiment import Experiment

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_parameters_of_the_same_name_and_shape_are_taken(
    experiment: Experiment, finished_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, other = experiment.init(), load_run(finished_run, data=False).params
    started = start_from(state, str(finished_run))
    for name, value in started.params.items():
        np.testing.assert_array_equal(value, jax.device_get(other[name]), name)
        np.testing.assert_array_equal(started.eval_params[name], value, name)
    assert int(started.step) == 0
    assert "arrays of parameters are those of" in capsys.readouterr().out

    changed = min(state.params)
    new = jax.numpy.ones((7,))
    params = state.params | {changed: new, "a.new.one": new}
    partly = start_from(state._replace(params=params), str(finished_run))
    np.testing.assert_array_equal(partly.params[changed], new)
    assert f"; new: {', '.join(sorted(['a.new.one', changed]))}" in capsys.readouterr().out
    with pytest.raises(UserError, match="no parameter of the same name and shape"):
        start_from(state._replace(params={"a.new.one": new}), str(finished_run))


def test_fit_starts_from_another_run_once(
    finished_run: Path,
    tiny_config: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["fit", str(tiny_config), "--workdir", str(tmp_path / "run"), "--train.steps", "6"]
    assert main([*command, "--train.start-from", str(finished_run)]) == 0
    assert f"are those of {finished_run}" in capsys.readouterr().out
    assert main([*command[:-1], "12", "--train.start-from", str(finished_run)]) == 0
    out = capsys.readouterr().out
    assert "are those of" not in out
    assert "resuming from step 6" in out
    command[3] = str(tmp_path / "other")
    assert main([*command, "--train.start-from", str(tmp_path / "nosuch")]) == 2
    assert "holds no run" in capsys.readouterr().err
