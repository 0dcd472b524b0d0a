"""The distributions: what they hold, what their metadata says, the wheel as users install it."""

import importlib.util
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NEEDED = [name for name in ("build", "twine", "hatchling") if not importlib.util.find_spec(name)]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(NEEDED), reason=f"needs {NEEDED}: the extra `package`"),
]

READ_BY_TESTS = (
    "README.md", "Makefile", "constraints.txt", "tests/conftest.py", "tests/test_house.py",
    "train/cli.py", "configs/quickstart.py", "examples/flow_warp.py", "docs/how-it-works.md",
    "benchmarks/run.py", "slurm/fit.sbatch", "kubernetes/fit.yaml", "train/data/bundled/digits.npz",
)  # fmt: skip


def run(*command: str, cwd: Path = ROOT) -> str:
    """Runs a command as a user would, with nothing on the path of imports."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Builds the sdist, and the wheel from it, and returns both paths."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder))
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def test_twine_accepts_both(built: tuple[Path, Path]) -> None:
    out = run(sys.executable, "-m", "twine", "check", "--strict", *map(str, built))
    assert out.count("PASSED") == 2


def test_the_wheel_holds_the_library_alone_and_is_small(built: tuple[Path, Path]) -> None:
    wheel, _ = built
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    assert wheel.stat().st_size < 300_000
    assert {name.split("/")[0].split("-")[0] for name in names} == {"stn_jax"}
    assert "stn_jax/py.typed" in names
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "stn_jax").rglob("*.py")}
    assert sources <= set(names)


def test_the_source_distribution_holds_what_the_tests_read(built: tuple[Path, Path]) -> None:
    _, sdist = built
    with tarfile.open(sdist) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert set(READ_BY_TESTS) <= names
    made = ("docs/_build/", "docs/generated/")
    assert not [name for name in names if name.startswith(made) or "__pycache__" in name]


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """Installs the wheel with the extra nn into an empty environment; returns its Python."""
    folder = tmp_path_factory.mktemp("user") / "venv"
    run(sys.executable, "-m", "venv", str(folder))
    python = str(folder / "bin/python")
    constraint = ["--constraint", str(ROOT / "constraints.txt")]
    run(python, "-m", "pip", "install", "--quiet", *constraint, f"{built[0]}[nn]")
    return python


def test_the_installed_wheel_runs_the_readme(installed: Any, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) >= 2
    (tmp_path / "readme.py").write_text("\n".join(blocks) + "\nprint(stn.__file__)\n")
    out = run(installed, "readme.py", cwd=tmp_path)
    assert "site-packages" in out.splitlines()[-1]


def test_the_functions_import_without_flax_and_soon(installed: Any, tmp_path: Path) -> None:
    code = (
        "import sys, time, jax, jax.numpy; start = time.perf_counter(); import stn_jax; "
        "print(time.perf_counter() - start, 'flax' in sys.modules, 'optax' in sys.modules)"
    )
    seconds, flax, optax = run(installed, "-c", code, cwd=tmp_path).split()
    assert (flax, optax) == ("False", "False")
    assert float(seconds) < 2  # 0.3 on a machine that does nothing else
