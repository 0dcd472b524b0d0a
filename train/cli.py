"""The command line: verbs, config files, overrides; a mistake is one line and exit code 2.

JAX is imported only once everything that was typed has been understood.
"""

import contextlib
import dataclasses
import difflib
import importlib.util
import io
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from train.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from train.errors import TrainingError, UserError

T = TypeVar("T")

CONFIGS = Path(__file__).parents[1] / "configs"

USAGE = """\
usage: python -m train VERB ...

  fit CONFIG [--workdir DIR] [--optim.learning-rate 3e-4 ...]
      train as a file in configs/ says; the same command again resumes
  evaluate --workdir DIR [--split test] [--batch-size 64]
      judge a trained network again
  predict IMAGES... --workdir DIR --out DIR
      labels, thetas and rectified images of image files, folders or an .npz
  plot --workdir DIR
      draw the figures of a run again
  compile CONFIG --topology v5e:2x4 [--train.batch-size 4096 ...]
      memory, communication and estimated time of a step on a TPU that is not there

python -m train VERB --help lists the options of one."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """Trains a network; running the same command again resumes, or says that it is finished."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: str
    """Where everything that the run leaves is put."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Judges the trained network of a work directory again, and changes nothing there."""

    workdir: str
    """Work directory of a run."""
    split: Literal["test", "valid", "train"] = "test"
    """Which images."""
    batch_size: int = 0
    """Images of one step; 0 takes the run's. The result does not depend on it."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes labels, thetas and rectified images of any images."""

    images: tyro.conf.Positional[tuple[str, ...]]
    """Image files, folders of them, or an .npz with an array x, images or x_test."""
    workdir: str
    """Work directory of a run."""
    out: str
    """Folder for predictions.csv, predictions.json and the rectified images."""
    batch_size: int = 0
    """Images of one step; 0 takes the run's."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draws the figures of a work directory again."""

    workdir: str
    """Work directory of a run."""


@dataclasses.dataclass(frozen=True)
class Compile:
    """Compiles the training step for a TPU slice that is not there, and says what it would cost."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    topology: str = "v5e:2x4"
    """Generation and shape of the slice: v4, v5e, v5p, v6e or tpu7x; one chip is v5e:1x1."""


VERBS = {
    "fit": Fit,
    "evaluate": Evaluate,
    "predict": Predict,
    "plot": Plot,
    "compile": Compile,
}


def main(arguments: Sequence[str]) -> int:
    """Runs a verb.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit code: 0 done, 1 training failed, 2 a mistake of the user, 130 interrupted.
    """
    try:
        return _run(list(arguments))
    except UserError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except TrainingError as error:
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0
    if verb not in VERBS:
        raise UserError(f"verb {verb!r} is not known; choose one of {', '.join(VERBS)}.")
    configured = verb in ("fit", "compile")
    if configured and (not rest or rest[0] in ("-h", "--help")):
        if rest:
            print(USAGE)
            return 0
        raise UserError(f"{verb} needs a config file first; {_known_configs()}.")

    command: Any
    if configured:
        path = Path(rest[0])
        config = load_config(path)
        default = Fit(config, f"runs/{path.stem}") if verb == "fit" else Compile(config)
        prog = f"python -m train {verb} {path}"
        command = _parse(VERBS[verb], rest[1:], default=default, prog=prog)
    else:
        command = _parse(VERBS[verb], rest, prog=f"python -m train {verb}")
    if command is None:  # --help was asked for
        return 0

    from train.data import DataError

    try:
        return _dispatch(command)
    except DataError as error:
        raise UserError(str(error)) from error


def _dispatch(command: Fit | Evaluate | Predict | Plot | Compile) -> int:
    if isinstance(command, Fit):
        from train.fit import fit

        return fit(command.config, Path(command.workdir))
    if isinstance(command, Evaluate):
        from train.evaluate import evaluate

        return evaluate(Path(command.workdir), command.split, command.batch_size)
    if isinstance(command, Predict):
        from train.predict import predict

        return predict(command.images, Path(command.workdir), Path(command.out), command.batch_size)
    if isinstance(command, Compile):
        from train.compile import compile_for

        return compile_for(command.config, command.topology)
    from train.figures import plot

    return plot(Path(command.workdir))


def load_config(path: Path) -> Config:
    """Runs a config file and returns what its ``get_config()`` returns.

    Raises:
        UserError: for a file that is not there, cannot be run, or holds a field that does not fit.
    """
    if not path.is_file():
        raise UserError(f"config file {str(path)!r} is not there; {_known_configs(path.stem)}.")
    spec = importlib.util.spec_from_file_location(f"configs.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config file {str(path)!r} is no Python file; give one ending in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:
        raise UserError(f"config file {str(path)!r}: {_explain(error)}") from error
    if not isinstance(config, Config):
        raise UserError(
            f"config file {str(path)!r}: get_config() returned an object of type "
            f"{type(config).__name__}; it must return a train.config.Config."
        )
    return config


def _explain(error: Exception) -> str:
    """Says what is wrong with a config file; for a misspelt field, the nearest that exists."""
    unknown = re.match(
        r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error)
    )
    classes = {c.__name__: c for c in (Config, DataConfig, ModelConfig, OptimConfig, TrainConfig)}
    if unknown and unknown[1] in classes:
        names = [field.name for field in dataclasses.fields(classes[unknown[1]])]
        near = difflib.get_close_matches(unknown[2], names, n=1, cutoff=0.0)[0]
        return f"{unknown[1]} has no field {unknown[2]!r}; perhaps you meant {near!r}."
    if isinstance(error, AttributeError) and "get_config" in str(error):
        return "it has no get_config(); define one that returns a train.config.Config."
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _known_configs(name: str = "") -> str:
    names = sorted(path.stem for path in CONFIGS.glob("*.py") if path.stem != "__init__")
    near = difflib.get_close_matches(name, names, n=1)
    listed = ", ".join(f"configs/{name}.py" for name in names)
    return (f"perhaps you meant configs/{near[0]}.py; " if near else "") + f"there are {listed}"


def _parse(cls: type[T], arguments: list[str], *, prog: str, default: T | None = None) -> T | None:
    """Parses by tyro, whose suggestions are kept and whose box is taken off; None after --help."""
    options: Any = {} if default is None else {"default": default}
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(cls, args=arguments, prog=prog, **options)
    except SystemExit as stop:
        if not stop.code:
            return None
        raise UserError(_unboxed(said.getvalue(), prog)) from None


def _unboxed(said: str, prog: str) -> str:
    """Takes the message out of the box that tyro draws around it."""
    lines = [line.strip("╭╮╰╯│─ \t") for line in said.splitlines()]
    text = " ".join(line for line in lines[1:] if line)  # the first is the box's title
    text = re.sub(r"Error parsing config\.\w+: ", "", text)
    text = re.sub(
        r"no type matching .* instantiated from \['?(.*?)'?\]\. .*? Arg",
        r"\1 does not fit Arg",
        text,
    )
    text = text.replace(" Argument helptext:", "; it is")
    text = text.replace(" Perhaps you meant:", "; perhaps you meant")
    text = re.sub(r"[.\s]*For full helptext.*", "", text)
    return f"{text} ({prog} --help lists all options)"


def _one_line(text: str) -> str:
    return " ".join(text.split())
