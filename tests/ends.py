"""Tests the library at an end of the range of versions that pyproject.toml admits.

    python tests/ends.py lowest    # the lowest Python, and the lower bound of each dependency
    python tests/ends.py newest    # the newest Python found here, and the newest of everything

Each has a virtual environment of its own, ``.venv-lowest`` and ``.venv-newest``. What is tested is
what is installed with the extra ``nn``: the doctests of every function, the public interface, the
sampler and the layers; PyTorch and the training code are not. Each takes about a minute on two
cores, and 20 seconds to set up.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TOOLS = ["pytest", "pytest-xdist", "hypothesis", "beartype"]
TESTS = [
    "tests/test_public_api.py", "tests/test_coordinates.py", "tests/test_linen.py",
    "tests/nn", "tests/sampling/test_grid_sample.py",
]  # fmt: skip


def pythons() -> dict[tuple[int, int], str]:
    """Finds interpreters on the path and those of pyenv and uv, by version."""
    places = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    home = Path.home()
    for kept in (home / ".pyenv/versions", home / ".local/share/uv/python"):
        places += sorted(kept.glob("*/bin"))
    found: dict[tuple[int, int], str] = {sys.version_info[:2]: sys.executable}
    for minor in range(11, 30):
        for folder in reversed(places):
            path = folder / f"python3.{minor}"
            # pyenv's shims answer for versions that are not chosen, and then fail.
            if path.is_file() and "shims" not in path.parts:
                found[3, minor] = str(path)
    return found


def lower_bounds(project: dict[str, Any]) -> list[str]:
    """Lists ``name==bound`` for the dependencies and those of the extra nn."""
    asked = project["dependencies"] + project["optional-dependencies"]["nn"]
    bounds = [re.fullmatch(r"([\w-]+)>=([\d.]+)", entry.replace(" ", "")) for entry in asked]
    if not all(bounds):
        raise ValueError(f"{asked}: each dependency needs one lower bound, name>=version")
    return [f"{bound[1]}=={bound[2]}" for bound in bounds if bound]


def main(end: str) -> int:
    """Sets up the environment of an end, if it is not there, and runs the tests in it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))
    found = pythons()
    version = lowest if end == "lowest" else max(found)
    if version not in found:
        print(f"Python {'.'.join(map(str, version))} is not here; the lowest end is not tested.")
        return 0
    folder = ROOT / f".venv-{end}"
    python = str(folder / "bin/python")
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([found[version], "-m", "venv", str(folder)], check=True)
        exact = lower_bounds(project) if end == "lowest" else []
        install = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
        ]
        subprocess.run([*install, "--editable", f"{ROOT}[nn]", *exact, *TOOLS], check=True)
        (folder / "ready").touch()
    show = "import sys, jax, flax, numpy; print(sys.version.split()[0], 'jax', jax.__version__, "
    show += "'flax', flax.__version__, 'numpy', numpy.__version__)"
    subprocess.run([python, "-c", show], check=True)
    flags = subprocess.run(
        [python, str(ROOT / "tests/xla_flags.py")], check=True, capture_output=True, text=True
    )
    environment = os.environ | {"XLA_FLAGS": flags.stdout.strip()}
    test = [python, "-m", "pytest", "--quiet", "--numprocesses", "auto", "--maxprocesses", "8"]
    failures = 0  # two calls: the doctests run as users' code does, without the tests' strictness
    for what in (["--doctest-modules", "stn_jax"], ["-m", "not slow", *TESTS]):
        failures |= subprocess.run([*test, *what], cwd=ROOT, env=environment).returncode
    return failures


if __name__ == "__main__":
    if sys.argv[1:] not in (["lowest"], ["newest"]):
        sys.exit("usage: python tests/ends.py lowest|newest")
    sys.exit(main(sys.argv[1]))
