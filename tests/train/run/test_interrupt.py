"""Signals: the first is noted, the second stops at once, ignored ones stay ignored."""

import signal
import threading

import pytest

from train.run.interrupt import SIGNALS, Interrupt, Interrupted


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_the_second_stops(number: signal.Signals) -> None:
    handler = signal.default_int_handler
    before = signal.signal(number, handler)  # whoever runs the tests may ignore it
    try:
        with Interrupt() as interrupt:
            interrupt.stop()
            signal.raise_signal(number)
            assert interrupt.requested
            with pytest.raises(Interrupted) as stop:
                interrupt.stop()
            assert stop.value.number == number
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, before)


def test_ignored_signals_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as nohup and a shell's & do
    try:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGINT)
            assert not interrupt.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_nothing_is_changed_where_it_cannot_or_must_not_be() -> None:
    handlers = []

    def enter(active: bool) -> None:
        with Interrupt(active):
            handlers.append([signal.getsignal(number) for number in SIGNALS])

    thread = threading.Thread(target=enter, args=(True,))
    thread.start()
    thread.join()
    enter(False)
    assert handlers == 2 * [[signal.getsignal(number) for number in SIGNALS]]
