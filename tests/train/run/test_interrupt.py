"""Signals: the first is noted, the second stops at once, ignored ones stay ignored."""

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import finish, run, start, start_script, wait_for_checkpoint
from running import check_same_result

from train.run.interrupt import RESUME, SIGNALS, Interrupt, Interrupted

PROCESS = """
import signal, sys, time
import jax
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))
from train.run.interrupt import Interrupt, Interrupted
with Interrupt(jax.process_count()) as interrupt:
    print("ready", flush=True)
    step = 0
    while True:
        step += 16
        time.sleep(0.05 * (1 + jax.process_index()))  # one is slower, as a host may be
        if interrupt.poll():
            break
    try:
        interrupt.stop()
    except Interrupted as stop:
        print(step, stop.exit_code)
"""


@pytest.fixture(params=SIGNALS)
def number(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal with Python's handler; whoever runs the tests may ignore it."""
    before = signal.signal(request.param, signal.default_int_handler)
    yield request.param
    signal.signal(request.param, before)


def test_the_first_signal_is_noted_and_the_second_stops(number: signal.Signals) -> None:
    with Interrupt() as interrupt:
        interrupt.stop()
        assert not interrupt.poll()
        signal.raise_signal(number)
        assert interrupt.requested
        assert interrupt.poll()
        with pytest.raises(Interrupted) as stop:
            interrupt.stop()
        assert stop.value.number == number
        assert stop.value.exit_code == (75 if number == signal.SIGTERM else 130)
        with pytest.raises(KeyboardInterrupt) as second:
            signal.raise_signal(number)
        error: Any = second.value
        assert error.exit_code == 128 + number  # nothing was saved
    assert signal.getsignal(number) is signal.default_int_handler


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and a shell's & do
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert not interrupt.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_nothing_is_changed_in_another_thread() -> None:
    handlers = []

    def enter() -> None:
        with Interrupt():
            handlers.append([signal.getsignal(number) for number in SIGNALS])

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert handlers == [[signal.getsignal(number) for number in SIGNALS]]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_processes_of_a_run_stop_after_the_same_step(sent: signal.Signals) -> None:
    processes = start_script(PROCESS)
    for process in processes:
        assert process.stdout
        while "ready" not in process.stdout.readline():
            assert process.poll() is None
    time.sleep(0.5)
    processes[1].send_signal(sent)
    ends = [process.communicate(timeout=120)[0].split()[-2:] for process in processes]
    assert ends[0] == ends[1]
    assert ends[0][1] == str(RESUME) == "75"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_sigterm_to_one_process_saves_on_all(
    victim: int, tiny_config: Path, compilation_cache: Path, tmp_path: Path
) -> None:
    fit = ["fit", tiny_config, "--train.steps", "300", "--workdir"]
    started = start([*fit, tmp_path / "stopped"], cache=compilation_cache)
    wait_for_checkpoint(tmp_path / "stopped", 12, started)
    started[victim].send_signal(signal.SIGTERM)
    ended = finish(started)
    assert [process.code for process in ended] == [RESUME] * 2
    assert "interrupted; the same command resumes from step" in ended[0].err
    first, _ = run([*fit, tmp_path / "stopped"], cache=compilation_cache)
    assert "resuming from step" in first.out
    run([*fit, tmp_path / "whole"], cache=compilation_cache)
    check_same_result(tmp_path / "whole", tmp_path / "stopped")
