"""Completion on the command line: tyro's script for a shell, of all verbs at once."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Union

import tyro

from train.arguments import call_tyro
from train.cli import ALL_VERBS, CONFIGS, VERBS, options_for
from train.config.files import load_config
from train.config.options import make_command
from train.errors import UserError

PROGRAM = "train"
"""The word that is completed; a shell's alias for ``python -m train``."""

PRINT_COMPLETION = "--tyro-print-completion"
"""The option, by tyro's name."""

SHELLS = ("bash", "zsh", "fish")


def print_completion(arguments: Sequence[str]) -> int:
    """Prints the script that makes a shell complete the word `PROGRAM`.

    ``fit`` and ``compile`` have the options of the quickstart's config.

    Args:
        arguments: the name of the shell.

    Returns:
        The exit code.

    Raises:
        UserError: for a shell that tyro does not know.
    """
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise UserError(f"{PRINT_COMPLETION} needs a shell: one of {', '.join(SHELLS)}.")
    commands = {verb: VERBS.get(verb) or _configured(verb) for verb in ALL_VERBS}
    verbs = [Annotated[kind, tyro.conf.subcommand(verb)] for verb, kind in commands.items()]
    call_tyro(Union[tuple(verbs)], [PRINT_COMPLETION, *arguments], prog=PROGRAM)  # noqa: UP007
    if arguments[0] == "bash":  # names of files where tyro has none, such as the config's
        print(f"complete -o default -F _tyro_{PROGRAM} {PROGRAM}")
    return 0


def _configured(verb: str) -> type:
    """Returns the command of a verb that begins with a config file."""
    path = CONFIGS / "quickstart.py"
    options = make_command(load_config(path), options_for(verb, path))
    file: Any = tyro.conf.Positional[Path]
    return dataclasses.make_dataclass(verb, [("file", file, path)], bases=(options,), frozen=True)
