"""The house: what a file may name and how long it may be, which file tests which, a call's path."""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from stn_jax.sampling.platforms import native

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "stn_jax").rglob("*.py"))
TRAIN = sorted((ROOT / "train").rglob("*.py"))
PLATFORMS = re.compile(r"(?<![a-z])(cpu|gpu|tpu|cuda|rocm)s?(?![a-z])", re.IGNORECASE)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MAY_NAME = (
    "stn_jax/sampling/platforms/",
    "stn_jax/models/_cpu_convolution.py",
    "train/run/devices.py",
    # These compile for a TPU slice, by name.
    "train/plan/compile.py",
    "train/plan/hlo.py",
)
OF_OTHERS = {  # words for a module of those, or for what a command is for
    "stn_jax/models/_blocks.py": {"_cpu_convolution"},
    "train/cli.py": {"TPU"},
}


def words_of_code(path: Path) -> Iterator[str]:
    """Names, strings and comments of a file; not its docstrings."""
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        starts = previous in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.NL)
        if token.type in (tokenize.NAME, tokenize.COMMENT) or (
            token.type == tokenize.STRING and not starts
        ):
            yield from re.findall(r"\w+", token.string)
        previous = token.type


def names_of_platforms(path: Path) -> list[str]:
    words = set(words_of_code(path)) - OF_OTHERS.get(relative(path), set())
    return sorted(word for word in words if PLATFORMS.search(word))


@pytest.mark.parametrize("path", LIBRARY + TRAIN, ids=relative)
def test_no_code_outside_platforms_names_a_platform(path: Path) -> None:
    found = names_of_platforms(path)
    if relative(path).startswith(MAY_NAME):
        return
    assert not found, f"{relative(path)} names {found}: a platform's code is in platforms/"


def test_platforms_name_platforms() -> None:
    """So that the test above looks for what there is."""
    assert names_of_platforms(ROOT / "stn_jax/sampling/platforms/__init__.py")
    assert names_of_platforms(ROOT / "stn_jax/sampling/platforms/cpu_fusion.py")


def python_files() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:  # an unpacked archive
        return [p for folder in ("stn_jax", "tests") for p in (ROOT / folder).rglob("*.py")]
    return [ROOT / name for name in done.stdout.split() if (ROOT / name).exists()]


def test_no_file_is_longer_than_350_lines() -> None:
    counts = {relative(path): len(path.read_text().splitlines()) for path in python_files()}
    assert not {name: count for name, count in counts.items() if count > 350}
    assert counts["stn_jax/sampling/operator.py"] <= 120


SHARED = {  # files of the library whose tests are elsewhere
    "stn_jax/_mesh.py": "tests/sampling/test_meshes.py",
}


@pytest.mark.parametrize("path", LIBRARY, ids=relative)
def test_every_file_has_its_test(path: Path) -> None:
    """tests/room/test_name.py for stn_jax/room/name.py."""
    if path.name == "__init__.py":
        return
    inside = path.relative_to(ROOT / "stn_jax")
    own = ROOT / "tests" / inside.parent / f"test_{inside.stem.removeprefix('_')}.py"
    if relative(path) in SHARED:
        own = ROOT / SHARED[relative(path)]
    assert own.exists(), f"{relative(path)} has no {relative(own)}"


def calls_of(function: Callable[[], object]) -> set[tuple[str, str, int]]:
    """Functions of the library that a call enters, lambdas too, each once; and their files."""
    entered = set()
    library = str(ROOT / "stn_jax")

    def enter(frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(library):
            if not code.co_name.startswith(("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")):
                entered.add((code.co_filename, code.co_name, code.co_firstlineno))

    sys.setprofile(enter)
    try:
        function()
    finally:
        sys.setprofile(None)
    return entered


PROBE = """
import sys
sys.path[:0] = ["tests"]
import jax.numpy as jnp
import stn_jax as stn
from test_house import calls_of
image, grid = jnp.ones((2, 4, 5, 3)), jnp.zeros((2, 3, 3, 2))
entered = calls_of(lambda: stn.grid_sample(image, grid, backend="{backend}"))
for entry in sorted(entered):
    print(*entry)
"""


@pytest.mark.parametrize("backend", [
    "gather", pytest.param("native", marks=pytest.mark.skipif(
        not native.IS_INSTALLED, reason="stn-jax-cpu is not installed"
    )),
])  # fmt: skip
def test_a_forward_call_passes_through_few_functions_and_files(backend: str) -> None:
    """The first call of a process: checks, traces, lowers and runs. Lambdas count."""
    probe = [sys.executable, "-c", PROBE.format(backend=backend)]
    done = subprocess.run(probe, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    entered = [line.split() for line in done.stdout.splitlines()]
    files = {name for name, *_ in entered}
    assert any(name.endswith(f"{backend}.py") for name in files)  # it went all the way
    assert len(entered) <= 47, done.stdout
    assert len(files) <= 13, sorted(files)
