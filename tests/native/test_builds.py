"""The compiled CPU kernels under sanitizers, on random calls, and on another processor."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stn_jax.sampling.platforms import native

ROOT = Path(__file__).parents[2]
FOLDER = Path(sys.executable).parent
ARM = "aarch64-linux-gnu"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not native.IS_INSTALLED, reason="stn-jax-cpu is not installed"),
]


def build(folder: Path, target: str, *options: str) -> Path:
    """Builds a target with CMake; returns its file."""
    path = os.pathsep.join([str(FOLDER), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    python = f"-DPython_EXECUTABLE={sys.executable}"
    configure: list[str | Path] = ["cmake", "-S", ROOT / "native", "-B", folder]
    configure += ["-G", "Ninja", python, *options]
    ninja: list[str | Path] = ["ninja", "-C", folder, target]
    for command in (configure, ninja):
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return next(path for path in folder.iterdir() if target in path.stem)


def stress(program: Path, calls: int, *emulator: str) -> dict[str, float]:
    """Runs random calls; returns the sum of the results for each row and type."""
    done = subprocess.run([*emulator, program, str(calls)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return {row: float(total) for row, total in re.findall(r"(.+) (\S+)\n", done.stdout)}


def preload(name: str) -> str:
    """The file of a library of the compiler, to be loaded before all others."""
    done = subprocess.run(["c++", f"-print-file-name={name}"], capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """Sums of the plain build."""
    return stress(build(tmp_path_factory.mktemp("plain"), "stress"), 5)


def test_random_calls_are_right_and_the_same_with_any_number_of_threads(
    plain: dict[str, float],
) -> None:
    assert len(plain) == 192
    assert all(total > 0 for total in plain.values())


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_sanitizers_find_nothing(sanitizers: str, tmp_path: Path) -> None:
    assert stress(build(tmp_path, "stress", f"-DSTN_SANITIZE={sanitizers}"), 5)


def test_contract_holds_under_sanitizers(tmp_path: Path) -> None:
    library = build(tmp_path, "stn_jax_cpu", "-DSTN_SANITIZE=address,undefined")
    env = {
        **os.environ,
        "LD_PRELOAD": " ".join(map(preload, ("libasan.so", "libstdc++.so"))),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python's own
        "STN_JAX_CPU_LIBRARY": str(library),
    }
    contract = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist"]
    contract += ["tests/sampling/test_contract.py", "-k", "native", "-m", "slow or not slow"]
    done = subprocess.run(contract, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " passed" in done.stdout


@pytest.mark.skipif(shutil.which(f"{ARM}-g++") is None, reason="no compiler for aarch64")
@pytest.mark.skipif(shutil.which("qemu-aarch64") is None, reason="no emulator of aarch64")
def test_aarch64_computes_the_same(plain: dict[str, float], tmp_path: Path) -> None:
    processor = ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64"]
    program = build(tmp_path, "stress", *processor, f"-DCMAKE_CXX_COMPILER={ARM}-g++")
    sums = stress(program, 5, "qemu-aarch64", "-L", f"/usr/{ARM}")
    assert sums == pytest.approx(plain, rel=1e-5)
