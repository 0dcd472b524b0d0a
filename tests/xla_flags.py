"""Prints the flags for XLA that make tests compile quickly, those that the installed jaxlib knows.

Most of a test's time is XLA's, and half of that its optimising, which changes no program of ours.
XLA ends the process at a flag that it does not know, and versions differ, so each one is tried.
"""

import os
import subprocess
import sys

WANTED = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_use_fusion_emitters=false",
)
PROBE = "import jax; jax.numpy.ones(2).block_until_ready()"


def known(flag: str) -> bool:
    """Whether a process with this flag computes something."""
    environment = os.environ | {"XLA_FLAGS": flag, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROBE]
    return not subprocess.run(command, env=environment, capture_output=True, check=False).returncode


if __name__ == "__main__":
    print(*(flag for flag in WANTED if known(flag)))
