"""Compiled kernels of stn_jax for CPUs: the four maps of sampling as XLA custom calls.

Nothing here is called by hand: `stn_jax` finds the package and uses it.
"""

import ctypes
import functools
import os
from pathlib import Path

import jax

MAPS = ("read", "jvp_points", "splat", "vjp_points")
"""The maps, by their names in `stn_jax.sampling.operator`."""


@functools.cache
def register() -> str:
    """Loads the library and registers each map as the custom call ``stn_<map>``, once.

    The variable STN_JAX_CPU_LIBRARY names another build of the library: one with sanitizers.

    Returns:
        The instruction set that the kernels use here: ``"avx512"``, ``"avx2"`` or ``"baseline"``.
    """
    own = Path(__file__).with_name("libstn_jax_cpu.so")
    library = ctypes.CDLL(os.environ.get("STN_JAX_CPU_LIBRARY", str(own)))
    for name in MAPS:
        handler = jax.ffi.pycapsule(getattr(library, f"stn_{name}"))
        jax.ffi.register_ffi_target(f"stn_{name}", handler, platform="cpu")
    library.stn_instruction_set.restype = ctypes.c_char_p
    return library.stn_instruction_set().decode()
