"""Looks into an exported program in a process of its own, since what reads one may crash.

JAX trusts what it deserializes: damaged bytes can end the process, and a program may call any
function that is registered with XLA. Here a child reads it first, with bounded memory and time,
and allows only operations that compute.
"""

import re
import subprocess
import sys
from pathlib import Path

MEMORY = 2 << 30
"""Bytes that the child may use, and ten times the program."""

SECONDS = 120

CALL = re.compile(r'custom_call @"?([\w.$]+)"?\(')

ALLOWED = re.compile(
    r"shape_assertion|Sharding"  # the check of a symbolic batch
    r"|(mhlo|chlo|stablehlo)\.\w+|ApproxTopK"  # operations that are written as calls
    r"|(lapack|cusolver|hipsolver)_\w+_ffi|(cu|hip)_\w+"  # linear algebra
    r"|LuDecomposition|Qr|Eigh|ProductOfElementaryHouseholderReflectors"
)
"""Functions outside of itself that a program may call: those that JAX keeps stable, but for kernels
and for calls into Python."""


def inspect_program(program: bytes) -> None:
    """Checks that a program can be read and only computes.

    Args:
        program: what ``jax.export`` has serialized.

    Raises:
        ValueError: if not.
    """
    from train.run.devices import host_environment

    try:
        done = subprocess.run(
            [sys.executable, "-P", str(Path(__file__))],  # -P: no module beside it is imported
            input=program,
            env=host_environment(),
            capture_output=True,
            timeout=SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"its program is not read within {SECONDS} seconds") from error
    said = done.stdout.decode(errors="replace").strip()
    if said != "fine":
        raise ValueError(said or f"what reads its program ends with code {done.returncode}")


def explain_program(program: bytes) -> str:
    """Returns what is wrong with a program, or ``fine``."""
    from jax import export

    try:
        exported = export.deserialize(bytearray(program))
        text = exported.mlir_module()
    except Exception as error:  # whatever its reader meets
        return f"its program cannot be read: {type(error).__name__}"
    if exported.ordered_effects or exported.unordered_effects:
        return "its program has effects"
    if exported.nr_devices != 1:
        return f"its program is for {exported.nr_devices} devices"
    calls = CALL.findall(text)
    foreign = sorted({name for name in calls if not ALLOWED.fullmatch(name)})
    if foreign or len(calls) != text.count("custom_call"):
        return f"its program calls {', '.join(foreign)[:200] or 'an unnamed function'}"
    return "fine"


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = MEMORY + 10 * size
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    content = sys.stdin.buffer.read()
    _limit_memory(len(content))
    print(explain_program(content))
