"""A process that is lost ends the others with a sentence; started again, the run goes on."""

import signal
import time
from pathlib import Path

import pytest
from processes import finish, run, start, wait_for_checkpoint
from running import check_same_result

from train.run.watch import Watch


def test_one_process_is_not_watched() -> None:
    with Watch() as watch:
        assert not any(thread.is_alive() for thread in watch.threads)
    with pytest.raises(ValueError, match="as it was"), Watch():
        raise ValueError("as it was")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_lost_process_ends_the_others_and_a_restart_goes_on(
    victim: int,
    number: signal.Signals,
    tiny_config: Path,
    compilation_cache: Path,
    tmp_path: Path,
) -> None:
    fit = ["fit", tiny_config, "--train.steps", "80", "--workdir"]
    lost, whole = tmp_path / "lost", tmp_path / "whole"
    started = start([*fit, lost], cache=compilation_cache)
    wait_for_checkpoint(lost, 12, started)
    started[victim].send_signal(number)
    before = time.monotonic()
    (other,) = finish([started[1 - victim]])
    assert time.monotonic() - before < 60
    started[victim].kill()
    started[victim].communicate()
    assert other.code == 1
    sentence = other.err.splitlines()[-1]
    assert sentence.startswith("error: ")
    assert f"process {victim} is lost" in sentence
    assert sentence.endswith("the run goes on from its last checkpoint.")

    first, _ = run([*fit, lost], cache=compilation_cache)
    assert "resuming from step" in first.out
    run([*fit, whole], cache=compilation_cache)
    check_same_result(whole, lost)


@pytest.mark.slow
def test_an_error_of_one_process_is_told_to_the_others(
    tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    """Here of process 1 alone, whose host lacks the data."""
    lack = "import numpy as np\ndef load(*_, **__): raise OSError(2, 'No such file', 'digits.npz')"
    lack += "\nnp.load = load"
    fit = ["fit", tiny_config, "--workdir", tmp_path / "run"]
    for process in finish(start(fit, cache=compilation_cache, change=lack)):
        assert process.code in (1, 2)
        assert "digits.npz" in process.err
        assert sum(line.startswith("error: ") for line in process.err.splitlines()) == 1
