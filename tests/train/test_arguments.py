"""The command line's parser: values of a type, and messages in one line."""

from dataclasses import dataclass

import pytest

from train.arguments import call_tyro
from train.errors import UserError


@dataclass(frozen=True)
class Command:
    """A verb."""

    count: int = 1
    """How many."""


def test_values_are_parsed() -> None:
    assert call_tyro(Command, ["--count", "3"], prog="it") == Command(3)


def test_help_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call_tyro(Command, ["--help"], prog="it") is None
    assert "How many." in capsys.readouterr().out


def test_messages_have_no_box() -> None:
    for arguments, words in ((["--count", "x"], "'x'"), (["--cuont", "3"], "--cuont")):
        with pytest.raises(UserError) as caught:
            call_tyro(Command, arguments, prog="it")
        assert words in str(caught.value)
        assert not set("╭│\n") & set(str(caught.value))
