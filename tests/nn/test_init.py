"""Without Flax the functions work, and the modules say what to install."""

import subprocess
import sys

import pytest

BLOCKED = "import sys; sys.modules['flax'] = None\n"


def run_without_flax(script: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + script]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("module", ["nn", "linen", "models", "models.tutorial"])
def test_the_error_says_what_to_install(module: str) -> None:
    done = run_without_flax(f"import stn_jax.{module}")
    assert done.returncode == 1
    assert 'pip install "stn-jax[nn]"' in done.stderr.splitlines()[-1]


def test_the_functions_need_no_flax() -> None:
    done = run_without_flax("import stn_jax as stn; print(stn.spatial_transform.__name__)")
    assert done.stdout == "spatial_transform\n", done.stderr
