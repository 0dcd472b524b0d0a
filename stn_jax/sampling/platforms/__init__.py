"""Which algorithm and which form of each map a platform runs: the one place that chooses.

Each map of `stn_jax.sampling.operator` is lowered to the platform's own form of it, if `FORMS` has
one, and else to the map as derived from the algorithm. ``"auto"``, which is resolved by then, is
the algorithm that is fastest on the platform (docs/performance.md has the figures).
"""

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
from jaxtyping import Array

from stn_jax.sampling import gather, matmul, reference, windowed
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms import cpu, native
from stn_jax.sampling.platforms.cpu_fusion import materialize_input as materialize_input

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that may have forms of their own."""

_MAX_DENSE = 1 << 17  # Values of an image up to which products beat gathers on a TPU.


def choose(platform: str | None, values: Any) -> str:
    """Returns the algorithm that ``"auto"`` is on a platform, for images of so many values."""
    if platform != "tpu":
        return "native" if platform == "cpu" else "gather"
    return "matmul" if isinstance(values, int) and values <= _MAX_DENSE else "windowed"


ALGORITHMS: dict[str, Callable[[Array, Array, Interpolation], Array]] = {
    "native": gather.sample,
    "gather": gather.sample,
    "matmul": matmul.sample,
    "windowed": windowed.sample,
    "triton": gather.sample,
    "reference": reference.sample,
}
"""``(image, points, interpolation) -> values`` for one image, by public name."""

BACKENDS = ("auto", *ALGORITHMS)
"""Names that the public functions take."""


def _triton() -> ModuleType:
    from stn_jax.sampling.platforms import gpu  # and Pallas, which takes a while to import

    return gpu


FORMS: dict[tuple[str, str | None], Callable[[], ModuleType]] = {
    ("native", "cpu"): lambda: native,
    ("gather", "cpu"): lambda: cpu,
    ("triton", "cpu"): lambda: cpu,
    ("triton", "cuda"): _triton,
    ("triton", "rocm"): _triton,
}
"""Modules of an algorithm's own forms on a platform, imported when used.

A form is a function named as its map, ``(*operands, interpolation, shape) -> array``, for one batch
axis and one axis of points. A map without one is derived from the algorithm.
"""


def derived(name: str, function: Callable[..., Array]) -> Callable[..., Array]:
    """Makes a map that is derived from an algorithm right for any pixels, and for ``"auto"``.

    Args:
        name: the map's.
        function: ``(*operands, algorithm, interpolation, shape) -> array``, in operations that JAX
            can differentiate: higher derivatives do.
    """

    def derived_map(*operands: Array, algorithm: str, **static: Any) -> Array:
        if algorithm == "auto":  # Not resolved by `run`: a higher derivative, for any platform.
            values = math.prod((*static["shape"], operands[0].shape[-1]))
            form = {
                key: functools.partial(derived_map, algorithm=choose(platform, values), **static)
                for key, platform in (("tpu", "tpu"), ("default", None))
            }
            result: Array = jax.lax.platform_dependent(*operands, **form)
            return result
        one = functools.partial(function, algorithm=algorithm, **static)
        return (matmul.finite(name, one) if algorithm == "matmul" else one)(*operands)

    return derived_map


def run(
    name: str,
    function: Callable[..., Array],
    platform: str | None,
    *operands: Array,
    batch: int,
    is_local: bool,
    algorithm: str,
    interpolation: Interpolation,
    shape: tuple[Any, ...],
) -> Array:
    """Runs a map as its platform does.

    Args:
        name: the map's.
        function: the map for one image, as derived from an algorithm.
        platform: where; None is any other than `PLATFORMS`.
        *operands: the map's, with ``batch`` leading axes.
        batch: number of leading axes.
        is_local: whether the program runs in this process, on one device.
        algorithm: a name of `ALGORITHMS`.
        interpolation: what a point reads.
        shape: spatial axes of an image.
    """
    if algorithm == "auto":
        algorithm = choose(platform, math.prod((*shape, operands[0].shape[-1])))
    if algorithm == "native" and not (is_local and native.IS_INSTALLED):
        algorithm = "gather"
    static = {"interpolation": interpolation, "shape": shape}
    forms = FORMS.get((algorithm, platform))
    own: Callable[..., Array] | None = getattr(forms(), name, None) if forms else None
    # Own forms need static sizes, except of the batch; kernels need that too, and no empty axis.
    is_kernel = algorithm in ("native", "triton")
    sizes = [size for x in operands for size in x.shape[0 if is_kernel else batch :]]
    if not all(isinstance(k, int) and (k or not is_kernel) for k in sizes):
        own = None
    if own is None:
        function = functools.partial(function, algorithm=algorithm, **static)
        for _ in range(batch):
            function = jax.vmap(function)
        return function(*operands)

    # Own forms take one batch axis, and one axis of points.
    images = 0 if name == "splat" else 1
    lead, points = operands[-1].shape[:batch], operands[-1].shape[batch:-1]
    count = math.prod(points)
    flat = [x.reshape(*lead, count, x.shape[-1]) for x in operands[images:]]
    function = functools.partial(own, **static)
    for _ in range(batch - 1):
        function = jax.vmap(function)
    arrays = [*operands[:images], *flat]
    out = function(*arrays) if batch else function(*(x[None] for x in arrays))[0]
    return out.reshape(*lead, *points, out.shape[-1]) if images else out
