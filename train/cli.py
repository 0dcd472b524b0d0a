"""The command line: verbs, config files and overrides; mistakes are one line and exit code 2.

JAX is imported only after the command line has been checked.
"""

import dataclasses
import difflib
import io
import itertools
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import tyro

from train.errors import TrainingError, UserError

CONFIGS = Path(__file__).parents[1] / "configs"

USAGE = """\
usage: python -m train VERB ...

  fit CONFIG [--workdir DIR] [--optim.learning-rate 3e-4 ...]
      train with a config file; the same command resumes an interrupted run
  evaluate --workdir DIR [--split test] [--data NAME]
      evaluate a trained network, on its own data or on others
  predict IMAGES... --workdir DIR | --model FILE --out DIR
      write labels, thetas and rectified images of image files, folders or an .npz, and the error
      where their classes are known
  export --workdir DIR [--out model.stn]
      write the trained network as one file that needs nothing but JAX
  plot --workdir DIR
      draw the figures of a run again, and write its report.html
  report RUN [RUN ...] [--markdown] [--copy-to results]
      print the papers' tables with the numbers of finished runs beside theirs
  compile CONFIG --topology v5e:2x4 [--train.batch-size 4096 ...]
      estimate memory, communication and time of a step on a TPU; no TPU is needed

python -m train fit CONFIG --help lists the options of a config, python -m train VERB --help those
of another verb, --version the version, --tyro-print-completion bash (or zsh, fish) a script for
completion. CONFIG is a file such as configs/quickstart.py;
docs/training.md says what it may hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processes:
    """How the processes of one run find each other; a cluster that JAX knows needs none of it."""

    coordinator: str | None = None
    """HOST:PORT of process 0, the same for all processes of a run."""
    processes: int = 0
    """Number of processes."""
    process: int = -1
    """Number of this process, from 0 on."""


@dataclasses.dataclass(frozen=True)
class Slice:
    """The devices that a program is compiled for."""

    topology: str = "v5e:2x4"
    """Generation and shape of the slice: v4, v5e, v5p, v6e or tpu7x; one chip is v5e:1x1."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluate(Processes):
    """Evaluates the trained network of a work directory, without changing anything there."""

    workdir: str
    """Work directory of a run."""
    split: Literal["test", "valid", "train"] = "test"
    """Split to evaluate."""
    data: str | None = None
    """Name or path of other images to evaluate on; or of the run's own, if they have moved."""
    batch_size: int = 0
    """Images for each step; 0 uses the run's. The result does not depend on it."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes labels, thetas and rectified images of any images."""

    images: tyro.conf.Positional[tuple[str, ...]]
    """Image files, folders of images, or an .npz with an array x, images or x_test."""
    out: str
    """Folder for predictions.csv, predictions.json and the rectified images."""
    workdir: str | None = None
    """Work directory of a run."""
    model: str | None = None
    """File that export has written, instead of a work directory."""
    batch_size: int = 0
    """Images for each step; 0 uses the run's."""


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes the trained network of a work directory as one file that needs nothing but JAX."""

    workdir: str
    """Work directory of a run."""
    out: str | None = None
    """The file; model.stn in the work directory if it is not given."""


@dataclasses.dataclass(frozen=True)
class Plot:
    """Draws the figures of a work directory again, and writes its report.html."""

    workdir: str
    """Work directory of a run."""


@dataclasses.dataclass(frozen=True)
class Report:
    """Prints the papers' tables with the numbers of finished runs beside theirs."""

    runs: tyro.conf.Positional[tuple[str, ...]]
    """Work directories, or folders of them, such as results."""
    markdown: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print Markdown."""
    copy_to: str | None = None
    """Folder to copy summary, config and small pictures of the finished runs to."""


VERBS = {
    "evaluate": Evaluate,
    "predict": Predict,
    "export": Export,
    "plot": Plot,
    "report": Report,
}
CONFIGURED = ("fit", "compile")
"""Verbs that begin with a config file."""

ALL_VERBS = ("fit", *VERBS, "compile")


def main(arguments: Sequence[str]) -> int:
    """Runs a verb.

    Args:
        arguments: the command line, without the program's name.

    Returns:
        The exit code: 0 success, 1 training failed, 2 user error, 75 stopped by SIGTERM and saved,
        128 and the number of another signal.
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
        return _fail(2, f"training needs {package}: pip install -e '.[train]'")


def _fail(code: int, message: str) -> int:
    print(f"error: {_join_lines(message)}", file=sys.stderr, flush=True)
    distributed = sys.modules.get("train.run.distributed")
    if distributed is not None and distributed.is_connected():
        sys.stdout.flush()
        os._exit(code)  # JAX would wait for the other processes
    return code


def _run(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help"):
        print(USAGE)
        return 0
    if verb == "--version":
        import stn_jax

        print(f"stn_jax {stn_jax.__version__}")
        return 0
    if verb == "--tyro-print-completion":
        from train.completion import print_completion

        return print_completion(rest)
    if verb in CONFIGURED:
        return _run_config(verb, rest)
    if verb not in VERBS:
        raise UserError(f"verb {verb!r} is unknown; choose one of {', '.join(ALL_VERBS)}.")
    from train.arguments import call_tyro

    command: Any = call_tyro(VERBS[verb], rest, prog=f"python -m train {verb}")
    if command is None:  # --help was asked for
        return 0
    if isinstance(command, Evaluate):
        with _connect(command):
            from train.evaluation.evaluator import evaluate

            place = expand(command.workdir)
            return evaluate(place, command.split, command.batch_size, command.data)
    if isinstance(command, Predict):
        from train.evaluation.predict import predict

        return predict(
            [expand(image) for image in command.images],
            expand(command.out),
            command.batch_size,
            workdir=None if command.workdir is None else expand(command.workdir),
            model=None if command.model is None else expand(command.model),
        )
    if isinstance(command, Export):
        from train.evaluation.export import export

        return export(expand(command.workdir), expand(command.out) if command.out else None)
    if isinstance(command, Report):
        from train.evaluation.report import report

        if not command.runs:
            raise UserError("report needs a work directory, or a folder of them, such as results.")
        return report(
            [expand(run) for run in command.runs],
            markdown=command.markdown,
            copy_to=None if command.copy_to is None else expand(command.copy_to),
        )
    from train.evaluation.figures import plot

    return plot(expand(command.workdir))


def _run_config(verb: str, rest: list[str]) -> int:
    """Runs a verb that begins with a config file."""
    if rest and rest[0] in ("-h", "--help"):
        example = CONFIGS / "quickstart.py"
        print(f"{USAGE}\n\nThe options of {example.name}; other parts have others:\n")
        rest = [str(example), "--help"]
    if not rest:
        raise UserError(f"{verb} needs a config file first; {_known_configs()}.")
    path = expand(rest[0])
    if rest[0].startswith("-"):
        later = next((one for one in rest if one.endswith(".py")), "CONFIG")
        raise UserError(
            f"the config file comes first: python -m train {verb} {later} {rest[0]} ..."
        )
    if not path.is_file():
        raise UserError(f"config file {str(path)!r} does not exist; {_known_configs(path.stem)}.")
    from train.config.files import load_config, run_file, sources_of
    from train.config.options import parse

    config, options = load_config(path), options_for(verb, path)
    parsed = parse(config, options, rest[1:], prog=f"python -m train {verb} {path}")
    if parsed is None:  # --help was asked for
        return 0
    config, command = parsed
    if verb == "fit":
        sources = sources_of(run_file(path).__name__)
        launch = {"name": path.stem, "command": _command_of(["fit", *rest])}
        with _connect(command):
            return _run_fit(config, expand(command.workdir), sources, launch)
    from train.plan.compile import compile_for

    return compile_for(config, command.topology)


def options_for(verb: str, config: Path) -> dict[str, tuple[Any, Any, str]]:
    """Returns the options of a verb that begins with a config file, besides the config's own."""
    from train.config.options import options_of

    if verb == "fit":
        text = "Folder for everything that the run writes."
        return {"workdir": (str, f"runs/{config.stem}", text), **options_of(Processes)}
    return options_of(Slice)


def _connect(command: Processes) -> AbstractContextManager[Any]:
    """Connects the processes of a run, if there are several, and returns what watches them."""
    from train.run.distributed import connect

    connect(command.coordinator, command.processes, command.process)
    from train.run.watch import Watch

    return Watch()


def _command_of(arguments: Sequence[str]) -> str:
    """Returns the command that repeats a run, without its processes and its folders."""
    places = {f"--{field.name}" for field in dataclasses.fields(Processes)}
    places |= {"--workdir", "--data.manual-dir", "--data.data-dir"}
    kept: list[str] = []
    for before, argument in itertools.pairwise(["", *arguments]):
        if before not in places and argument.partition("=")[0] not in places:
            kept.append(argument)
    return shlex.join(["python", "-m", "train", *kept])


def _run_fit(
    config: Any, workdir: Path, sources: Mapping[str, str], launch: Mapping[str, str]
) -> int:
    """Runs the verb fit; an interruption says what stands on the disk."""
    from train.fit import fit
    from train.run.workdir import SUMMARY, saved_step

    try:
        return fit(config, workdir, sources, **launch)
    except KeyboardInterrupt as stop:
        step = saved_step(workdir)
        if (workdir / SUMMARY).is_file():
            text = "; the run is finished"
        elif step is None:
            text = " before the first checkpoint; the same command starts again"
        else:
            text = f"; the same command resumes from step {step:,}"
        print(f"\ninterrupted{text}", file=sys.stderr)
        return getattr(stop, "exit_code", 128 + signal.SIGINT)


def expand(path: str) -> Path:
    """Returns a path from the command line; a leading tilde is the home folder."""
    return Path(os.path.expanduser(path))


def _known_configs(wanted: str = "") -> str:
    """Returns the config file that was probably meant, or some that there are."""
    names = sorted(path.stem for path in CONFIGS.glob("[!_]*.py"))
    near = difflib.get_close_matches(wanted, names, n=1)
    if near:
        return f"perhaps you meant configs/{near[0]}.py"
    first = [name for name in names if name.startswith("quickstart")]
    listed = ", ".join(f"configs/{name}.py" for name in first)
    return f"there are {listed} and {len(names) - len(first)} more in configs/"


def _join_lines(text: str) -> str:
    return " ".join(text.split())
