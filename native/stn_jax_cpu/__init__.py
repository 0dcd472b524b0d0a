"""Compiled kernels of stn_jax for CPUs: the four maps of sampling as XLA custom calls.

Nothing here is called by hand: `stn_jax` finds the package and uses it.
"""

import ctypes
import functools
from pathlib import Path

import jax

MAPS = ("read", "jvp_points", "splat", "vjp_points")
"""The maps, by their names in `stn_jax.sampling.operator`."""


@functools.cache
def register() -> str:
    """Loads the library and registers each map as the custom call ``stn_<map>``, once.

    Returns:
        The instruction set that the kernels use here: ``"avx512"``, ``"avx2"`` or ``"baseline"``.
    """
    library = ctypes.CDLL(str(Path(__file__).with_name("libstn_jax_cpu.so")))
    for name in MAPS:
        handler = jax.ffi.pycapsule(getattr(library, f"stn_{name}"))
        jax.ffi.register_ffi_target(f"stn_{name}", handler, platform="cpu")
    library.stn_instruction_set.restype = ctypes.c_char_p
    return library.stn_instruction_set().decode()
