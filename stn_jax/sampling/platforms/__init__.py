"""Which algorithm and which form of each map a platform runs: the one place that chooses.

Each map of `stn_jax.sampling.operator` is lowered to the platform's own form of it, if `FORMS` has
one, and else to the map as derived from the algorithm. ``"auto"`` is the algorithm that is fastest
on the platform (docs/performance.md has the figures).
"""

import functools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import jax
from jaxtyping import Array

from stn_jax.sampling import gather, matmul, reference, windowed
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.platforms import cpu

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that may have forms of their own."""

_MAX_DENSE = 1 << 17  # Values of an image up to which products beat gathers on a TPU.


def choose(platform: str | None, values: Any) -> str:
    """Returns the algorithm that ``"auto"`` is on a platform, for images of so many values."""
    if platform != "tpu":
        return "gather"
    return "matmul" if isinstance(values, int) and values <= _MAX_DENSE else "windowed"


def _auto(image: Array, points: Array, interpolation: Interpolation) -> Array:
    """Samples by the platform's algorithm, in operations that JAX can differentiate."""

    def by(platform: str | None) -> Callable[[Array, Array], Array]:
        algorithm = ALGORITHMS[choose(platform, image.size)]
        return functools.partial(algorithm, interpolation=interpolation)

    return jax.lax.platform_dependent(image, points, tpu=by("tpu"), default=by(None))


ALGORITHMS: dict[str, Callable[[Array, Array, Interpolation], Array]] = {
    "auto": _auto,
    "gather": gather.sample,
    "matmul": matmul.sample,
    "windowed": windowed.sample,
    "triton": gather.sample,
    "reference": reference.sample,
}
"""``(image, points, interpolation) -> values`` for one image, by public name."""


def _triton() -> ModuleType:
    from stn_jax.sampling.platforms import gpu  # and Pallas, which takes a while to import

    return gpu


FORMS: dict[tuple[str, str], Callable[[], ModuleType]] = {
    ("gather", "cpu"): lambda: cpu,
    ("triton", "cpu"): lambda: cpu,
    ("triton", "cuda"): _triton,
    ("triton", "rocm"): _triton,
}
"""Modules whose functions, named as the maps, are an algorithm's own forms on a platform."""


def lowering(
    name: str,
    derived: Callable[..., Callable[..., Array]],
    platform: str | None,
    *,
    batch: int,
    algorithm: str,
    interpolation: Interpolation,
    shape: Sequence[int],
) -> Callable[..., Array]:
    """Returns what a platform runs for a map.

    Args:
        name: the map's.
        derived: ``(batch, algorithm, ...) -> function``, the map derived from an algorithm.
        platform: where; None is any other.
        batch: number of leading batch axes of the operands.
        algorithm: a name of `ALGORITHMS`.
        interpolation: what a point reads.
        shape: spatial axes of an image.

    Returns:
        A function of the operands.
    """

    def run(*operands: Array) -> Array:
        channels = operands[0].shape[-1]
        chosen = algorithm
        if algorithm == "auto":
            chosen = choose(platform, math.prod((*shape, channels)))
        static = {"interpolation": interpolation, "shape": tuple(shape)}
        forms = FORMS.get((chosen, platform or ""))
        module = forms() if forms else None
        own = getattr(module, name, None)
        sizes = [size for x in operands for size in x.shape]
        if getattr(module, "NEEDS_SIZES", False) and not all(
            isinstance(k, int) and k for k in sizes
        ):
            own = None
        if own is None:
            function = derived(batch=0, algorithm=chosen, **static)
            if chosen == "matmul":
                function = matmul.finite(name, function)
            return _batched(function, batch)(*operands)
        own = _of_flat_points(functools.partial(own, **static), first=name != "splat")
        if not batch:
            return own(*(x[None] for x in operands))[0]
        return _batched(own, batch - 1)(*operands)

    return run


def _of_flat_points(function: Callable[..., Array], first: bool) -> Callable[..., Array]:
    """Flattens points for a function of a batch; ``first``: the first operand is an image."""

    def flat(*operands: Array) -> Array:
        images, others = operands[:first], operands[first:]
        batch, *points = others[0].shape[:-1]
        count = math.prod(points)
        out = function(*images, *(x.reshape(batch, count, x.shape[-1]) for x in others))
        return out.reshape(batch, *points, out.shape[-1]) if images else out

    return flat


def _batched(function: Callable[..., Array], batch: int) -> Callable[..., Array]:
    for _ in range(batch):
        function = jax.vmap(function)
    return function
