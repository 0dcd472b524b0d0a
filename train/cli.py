"""The command line: verbs, config files and overrides; mistakes are one line and exit code 2.

JAX is imported only after the command line has been checked.
"""

import contextlib
import dataclasses
import difflib
import importlib.util
import io
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro

from train.config.parts import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig
from train.errors import TrainingError, UserError

T = TypeVar("T")

CONFIGS = Path(__file__).parents[1] / "configs"
INSTALL = "pip install 'stn-jax[train]', or '.[train]' in a clone"

USAGE = """\
usage: python -m train VERB ...

  fit CONFIG [--workdir DIR] [--optim.learning-rate 3e-4 ...]
      train with a config file; the same command resumes an interrupted run
  evaluate --workdir DIR [--split test] [--batch-size 64]
      evaluate a trained network
  predict IMAGES... --workdir DIR --out DIR
      write labels, thetas and rectified images of image files, folders or an .npz
  plot --workdir DIR
      draw the figures of a run again
  compile CONFIG --topology v5e:2x4 [--train.batch-size 4096 ...]
      estimate memory, communication and time of a step on a TPU; no TPU is needed

python -m train fit CONFIG --help lists the options of fit with that config, and VERB --help those
of another verb. --version prints the version."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """Trains a network; the same command resumes an interrupted run."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    workdir: str
    """Folder for everything that the run writes."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Evaluates the trained network of a work directory, without changing anything there."""

    workdir: str
    """Work directory of a run."""
    split: Literal["test", "valid", "train"] = "test"
    """Split to evaluate."""
    batch_size: int = 0
    """Images for each step; 0 uses the run's. The result does not depend on it."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes labels, thetas and rectified images of any images."""

    images: tyro.conf.Positional[tuple[str, ...]]
    """Image files, folders of images, or an .npz with an array x, images or x_test."""
    workdir: str
    """Work directory of a run."""
    out: str
    """Folder for predictions.csv, predictions.json and the rectified images."""
    batch_size: int = 0
    """Images for each step; 0 uses the run's."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draws the figures of a work directory again."""

    workdir: str
    """Work directory of a run."""


@dataclasses.dataclass(frozen=True)
class Compile:
    """Compiles the training step ahead of time for a TPU slice and prints its estimated cost."""

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
        The exit code: 0 success, 1 training failed, 2 user error, 128 and the number of a signal.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # names in letters that a terminal lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _run(list(arguments))
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(2, str(error))
    except TrainingError as error:
        return _fail(1, str(error))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:  # what reads the output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 128 + signal.SIGPIPE
    except OSError as error:
        path = f"{error.filename}: " if error.filename else ""
        return _fail(1, f"{path}{error.strerror or error}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("train", "stn_jax", "configs"):
            raise
        return _fail(2, f"{package} is not installed; {INSTALL}")


def _fail(code: int, message: str) -> int:
    print(f"error: {_join_lines(message)}", file=sys.stderr)
    return code


def _run(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb == "--version":
        import stn_jax

        print(f"stn_jax {stn_jax.__version__}")
        return 0
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0
    if verb not in VERBS:
        raise UserError(f"verb {verb!r} is unknown; choose one of {', '.join(VERBS)}.")
    configured = verb in ("fit", "compile")
    if configured and (not rest or rest[0] in ("-h", "--help")):
        if rest:
            print(USAGE)
            return 0
        raise UserError(f"{verb} needs a config file first; {_known_configs()}.")

    command: Any
    if configured:
        first = next((i for i, word in enumerate(rest) if word.endswith(".py")), 0)
        if rest[first].startswith("-"):
            raise UserError(f"{verb} needs a config file; {_known_configs()}.")
        path = expand(rest.pop(first))
        config = load_config(path)
        default = Fit(config, f"runs/{path.stem}") if verb == "fit" else Compile(config)
        prog = f"python -m train {verb} {path}"
        command = _parse(VERBS[verb], rest, default=default, prog=prog)
    else:
        command = _parse(VERBS[verb], rest, prog=f"python -m train {verb}")
    if command is None:  # --help was asked for
        return 0

    from train.data import DataError

    try:
        return _dispatch(command)
    except DataError as error:
        raise UserError(str(error)) from error
    except KeyboardInterrupt as stop:
        print(f"\ninterrupted{_explain_interrupt(command)}", file=sys.stderr)
        return 128 + getattr(stop, "number", signal.SIGINT)


def _explain_interrupt(command: object) -> str:
    """Returns what became of an interrupted run, as it stands on the disk."""
    if not isinstance(command, Fit):
        return ""
    from train.run.workdir import SUMMARY, saved_step

    workdir = expand(command.workdir)
    step = saved_step(workdir)
    if (workdir / SUMMARY).is_file():
        return "; the run is finished"
    if step is None:
        return " before the first checkpoint; the same command starts again"
    return f"; the same command resumes from step {step:,}"


def _dispatch(command: Fit | Evaluate | Predict | Plot | Compile) -> int:
    if isinstance(command, Fit):
        from train.fit import fit

        return fit(command.config, expand(command.workdir))
    if isinstance(command, Evaluate):
        from train.evaluation.evaluator import evaluate

        return evaluate(expand(command.workdir), command.split, command.batch_size)
    if isinstance(command, Predict):
        from train.evaluation.predict import predict

        return predict(
            command.images, expand(command.workdir), expand(command.out), command.batch_size
        )
    if isinstance(command, Compile):
        from train.plan.compile import compile_for

        return compile_for(command.config, command.topology)
    from train.evaluation.figures import plot

    return plot(expand(command.workdir))


def expand(path: str) -> Path:
    """Returns a path from the command line; a leading tilde is the home folder."""
    return Path(os.path.expanduser(path))


def load_config(path: Path) -> Config:
    """Runs a config file and returns what its ``get_config()`` returns.

    Raises:
        UserError: if the file does not exist, cannot be run, or has a field that is not allowed.
    """
    if not path.is_file():
        raise UserError(f"config file {str(path)!r} does not exist; {_known_configs(path.stem)}.")
    spec = importlib.util.spec_from_file_location(f"configs.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"config file {str(path)!r} is not a Python file; give one ending in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:
        raise UserError(f"config file {str(path)!r}: {_explain_config_error(error)}") from error
    if not isinstance(config, Config):
        raise UserError(
            f"config file {str(path)!r}: get_config() returned an object of type "
            f"{type(config).__name__}; it must return a train.config.Config."
        )
    return config


def _explain_config_error(error: Exception) -> str:
    """Returns what is wrong with a config file; for a misspelt field, with the closest match."""
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
    """Parses with tyro and turns its boxed messages into one line; returns None after --help."""
    options: Any = {} if default is None else {"default": default}
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            return tyro.cli(cls, args=arguments, prog=prog, **options)
    except SystemExit as stop:
        if not stop.code:
            return None
        raise UserError(_unbox_message(stderr.getvalue(), prog)) from None


def _unbox_message(output: str, prog: str) -> str:
    """Extracts the message from the box that tyro draws around it."""
    lines = [line.strip("╭╮╰╯│─ \t") for line in output.splitlines()]
    text = " ".join(line for line in lines[1:] if line)  # the first line is the title
    text = re.sub(r"Error parsing config\.\w+: ", "", text)
    text = re.sub(
        r"no type matching .* instantiated from \['?(.*?)'?\]\. .*? Arg",
        r"\1 is not allowed Arg",
        text,
    )
    text = text.replace(" Argument helptext:", "; it is")
    text = text.replace(" Perhaps you meant:", "; perhaps you meant")
    text = re.sub(r"[.\s]*For full helptext.*", "", text)
    return f"{text} ({prog} --help lists all options)"


def _join_lines(text: str) -> str:
    return " ".join(text.split())
