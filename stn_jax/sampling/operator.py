"""Sampling as an operator: linear in the image, differentiable in the points.

Four maps make it up, each a primitive of JAX, so that each has the form a platform is quick at:

    read(U; x) = V                 the samples
    push(U, dx; x) = dV            their change as the points move by dx (forward mode)
    splat(V'; x) = U'              the transpose of ``read`` in U: the image's gradient
    slope(U, V'; x) = x'           the transpose of ``push`` in dx: the points' gradient

The derivative of ``read`` is ``read(dU; x) + push(U, dx; x)``. So reverse mode keeps U and x alone,
and makes taps anew; a map whose result nobody asks for is not evaluated. ``read`` is a backend's;
the other three, and all higher derivatives, follow from it by automatic differentiation, unless a
backend knows a quicker form. JAX's custom rules would not do: `jax.custom_vjp` has no forward mode,
`jax.custom_jvp` leaves the transpose to JAX.

Under `jax.vmap` an image that is shared takes the batch as more points; otherwise all operands get
a leading axis. A backend so sees the whole batch, whoever made it.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

from stn_jax.sampling.kernels import Kernel
from stn_jax.sampling.padding import Boundary, split_nan
from stn_jax.sampling.platforms.cpu_fusion import materialize, without_fusion

Maps = Callable[..., Any]


@dataclass(frozen=True)
class Backend:
    """A way to sample.

    Attributes:
        sample: ``(image, coordinates, kernel, boundary, align_corners) -> samples`` of one image,
            in operations that JAX can differentiate.
        splat: on a CPU instead of the transpose of ``sample`` in the image:
            ``(values, coordinates, shape, kernel, boundary, align_corners) -> image``; all have a
            leading batch axis, and a value at a point that is NaN goes nowhere.
        slope: on a CPU instead of the transpose in the coordinates:
            ``(image, values, coordinates, kernel, boundary, align_corners) -> coordinates``.
        gpu: gives the module whose ``read``, ``splat`` and ``slope`` take these maps' places on a
            GPU: ``(scheme, shape, *operands) -> results``; all have a leading batch axis, points
            may be NaN, no axis is empty.
    """

    sample: Maps
    splat: Maps | None = None
    slope: Maps | None = None
    gpu: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Scheme:
    """All that is static about sampling."""

    backend: Backend
    kernel: Kernel
    boundary: Boundary
    align_corners: bool

    @property
    def rule(self) -> tuple[Kernel, Boundary, bool]:
        """The backends' last three arguments."""
        return self.kernel, self.boundary, self.align_corners


def sample(scheme: Scheme, image: Array, coordinates: Sequence[Array]) -> Array:
    """Samples one image at pixel coordinates, by ``scheme``; batches are `jax.vmap`'s.

    Args:
        scheme: how.
        image: ``(*shape, c)``, n spatial axes.
        coordinates: n arrays ``(*points)`` in the order of the image's axes, limited, and folded
            where the kernel does not pad its taps.

    Returns:
        Samples ``(*points, c)``.
    """
    return _bind(_read, image, *coordinates, scheme=scheme, shape=image.shape[:-1], batch=0)[0]


# ---- The maps, for one image ---------------------------------------------------------------------


def _read_one(scheme: Scheme, shape: tuple[int, ...], image: Array, *x: Array) -> list[Array]:
    lost, x = split_nan(x)
    values = scheme.backend.sample(image, x, *scheme.rule)
    return [jnp.where(lost[..., None], jnp.nan, values)]


def _push_one(scheme: Scheme, shape: tuple[int, ...], image: Array, *xs: Array) -> list[Array]:
    x, dx = xs[: len(shape)], xs[len(shape) :]
    return jax.jvp(functools.partial(_read_one, scheme, shape, image), x, dx)[1]


def _splat_one(scheme: Scheme, shape: tuple[int, ...], values: Array, *x: Array) -> list[Array]:
    lost, x = split_nan(x)
    image = jnp.zeros_like(values, shape=(*shape, values.shape[-1]))
    transpose = jax.linear_transpose(lambda u: scheme.backend.sample(u, x, *scheme.rule), image)
    return list(transpose(jnp.where(lost[..., None], 0, values)))


def _slope_one(
    scheme: Scheme, shape: tuple[int, ...], image: Array, values: Array, *x: Array
) -> list[Array]:
    pull = jax.vjp(functools.partial(_read_one, scheme, shape, image), *x)[1]
    return list(pull([values]))


# ---- Their forms on a CPU ------------------------------------------------------------------------


def _cpu_read(scheme: Scheme, shape: tuple[int, ...], batch: int) -> Maps:
    def one(image: Array, lost: Array, *x: Array) -> list[Array]:
        values = scheme.backend.sample(image, x, *scheme.rule)
        return [jnp.where(lost[..., None], jnp.nan, values)]

    def read(image: Array, *x: Array) -> list[Array]:
        every = _batched(one, batch)
        lost, clean = _materialize(x, image.shape[-1])
        # A sum over channels, fused with the reading, would write down all taps first.
        return (without_fusion(every) if image.shape[-1] > 1 else every)(image, lost, *clean)

    return read


def _cpu_splat(scheme: Scheme, shape: tuple[int, ...], batch: int) -> Maps | None:
    own = scheme.backend.splat
    if own is None:
        return None

    def splat(values: Array, *x: Array) -> list[Array]:
        lead = values.shape[:batch]
        flat = [a.reshape(math.prod(lead), *a.shape[batch:]) for a in (values, *materialize(x))]
        images = own(flat[0], flat[1:], shape, *scheme.rule)
        return [images.reshape(*lead, *images.shape[1:])]

    return splat


def _cpu_slope(scheme: Scheme, shape: tuple[int, ...], batch: int) -> Maps | None:
    own = scheme.backend.slope
    if own is None:
        return None

    def one(image: Array, values: Array, lost: Array, *x: Array) -> list[Array]:
        return [jnp.where(lost, 0, d) for d in own(image, values, x, *scheme.rule)]

    def slope(image: Array, values: Array, *x: Array) -> list[Array]:
        # One channel is read in the open: with the same coordinates the compiler would share its
        # taps with these, and so keep them; materialize in another order they are not the same.
        order = -1 if image.shape[-1] == 1 else 1
        lost, clean = _materialize(x[::order], image.shape[-1])
        return _batched(one, batch)(image, values, lost, *clean[::order])

    return slope


def _materialize(x: Sequence[Array], channels: int) -> tuple[Array, Sequence[Array]]:
    """`split_nan` of materialize coordinates; itself materialize where many channels ask."""
    if channels == 1:  # Another array costs more than asking anew for every tap.
        return split_nan(materialize(x))
    lost, numbers = split_nan(x)
    *clean, lost = materialize([*numbers, lost])
    return lost, clean


def _batched(one: Maps, batch: int) -> Maps:
    for _ in range(batch):
        one = jax.vmap(one)
    return one


# ---- Their forms on a GPU ------------------------------------------------------------------------


def _gpu_form(
    name: str, default: Maps, scheme: Scheme, shape: tuple[int, ...], batch: int
) -> Maps | None:
    own = getattr(scheme.backend.gpu(), name, None) if scheme.backend.gpu else None
    if own is None:
        return None

    def form(*operands: Array) -> list[Array]:
        if not all(isinstance(size, int) and size for x in operands for size in x.shape):
            return default(*operands)  # a program for any size, or of nothing
        lead = operands[0].shape[:batch]
        flat = [x.reshape(math.prod(lead), *x.shape[batch:]) for x in operands]
        return [x.reshape(*lead, *x.shape[1:]) for x in own(scheme, shape, *flat)]

    return form


# ---- The primitives ------------------------------------------------------------------------------


def _primitive(name: str, one: Maps, cpu: Maps | None = None, shared: bool = True) -> Primitive:
    """Makes a primitive of a map; ``shared``: its first operand is the image."""
    primitive = Primitive(f"stn_{name}")
    primitive.multiple_results = True

    def plain(scheme: Scheme, shape: tuple[int, ...], batch: int) -> Maps:
        return _batched(functools.partial(one, scheme, shape), batch)

    def run(*operands: Array, scheme: Scheme, shape: tuple[int, ...], batch: int) -> list[Array]:
        default = plain(scheme, shape, batch)
        gpu = _gpu_form(name, default, scheme, shape, batch)
        quick = {"cpu": cpu(scheme, shape, batch) if cpu else None, "cuda": gpu, "rocm": gpu}
        forms = {platform: form for platform, form in quick.items() if form}
        if not forms:
            return default(*operands)
        return jax.lax.platform_dependent(*operands, **forms, default=default)

    def avals(*operands: Any, **static: Any) -> Any:
        return jax.make_jaxpr(plain(**static))(*operands).out_avals

    def batch_rule(
        operands: Sequence[Array], axes: Sequence[Any], *, batch: int, **static: Any
    ) -> tuple[list[Array], list[int]]:
        size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
        more = axes[0] is None and shared  # more points of the same images
        place = batch if more else 0
        moved = [
            jnp.broadcast_to(jnp.expand_dims(x, place), (*x.shape[:place], size, *x.shape[place:]))
            if axis is None
            else jnp.moveaxis(x, axis, place)
            for x, axis in zip(operands[more:], axes[more:], strict=True)
        ]
        outs = _bind(primitive, *operands[:more], *moved, batch=batch + (not more), **static)
        return outs, [place] * len(outs)

    def jvp_rule(
        primals: Sequence[Array], tangents: Sequence[Any], **static: Any
    ) -> tuple[list[Array], list[Array]]:
        tangents = [ad.instantiate_zeros(t) for t in tangents]
        return jax.jvp(lambda *xs: plain(**static)(*xs), tuple(primals), tuple(tangents))

    primitive.def_impl(jax.jit(run, static_argnames=("scheme", "shape", "batch")))
    primitive.def_abstract_eval(avals)
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=True))
    batching.primitive_batchers[primitive] = batch_rule
    ad.primitive_jvps[primitive] = jvp_rule
    ad.primitive_transposes[primitive] = functools.partial(_transpose, plain, primitive)
    return primitive


def _bind(primitive: Primitive, *operands: Array, **static: Any) -> list[Array]:
    """Binds operands, made to vary over the same axes of a `jax.shard_map`."""
    everywhere = frozenset().union(*map(_varying, operands))
    return primitive.bind(*(_vary(x, everywhere) for x in operands), **static)


def _vary(x: Array, axes: frozenset[str]) -> Array:
    """The array, made to vary over at least these axes of a `jax.shard_map`."""
    missing = tuple(axes - _varying(x))
    return jax.lax.pcast(x, missing, to="varying") if missing else x


def _varying(x: Array) -> frozenset[str]:
    aval: Any = jax.typeof(x)
    return aval.manual_axis_type.varying if hasattr(aval, "manual_axis_type") else aval.vma


def _read_jvp(
    primals: Sequence[Array], tangents: Sequence[Any], **static: Any
) -> tuple[list[Array], list[Any]]:
    """``dV = read(dU; x) + push(U, dx; x)``."""
    image, *x = primals
    d_image, *dx = tangents
    changes = []
    if type(d_image) is not ad.Zero:
        changes += _bind(_read, d_image, *x, **static)
    if any(type(d) is not ad.Zero for d in dx):
        dx = [ad.instantiate_zeros(d) for d in dx]
        changes += _bind(_push, image, *x, *dx, **static)
    values = _bind(_read, *primals, **static)
    total = (
        functools.reduce(jnp.add, changes)
        if changes
        else ad.Zero(jax.typeof(values[0]).to_tangent_aval())
    )
    return values, [total]


def _transpose(
    plain: Maps, primitive: Primitive, cotangents: Sequence[Any], *operands: Any, **static: Any
) -> list[Any]:
    """The transpose in the operands that are unknown: one of the four maps, or found by JAX."""
    cotangents = [ad.instantiate_zeros(c) for c in cotangents]
    unknown = [ad.is_undefined_primal(x) for x in operands]
    n = len(static["shape"])
    first, rest = operands[0], operands[1:]
    if primitive in (_read, _splat) and not any(unknown[1:]):
        other = _splat if primitive is _read else _read
        return [*_bind(other, cotangents[0], *rest, **static), *[None] * n]
    if primitive is _push and not any(unknown[: n + 1]) and all(unknown[n + 1 :]):
        found = _bind(_slope, first, cotangents[0], *rest[:n], **static)
        return [*[None] * (n + 1), *found]
    if primitive is _slope and not unknown[0] and not any(unknown[2:]):
        found = _bind(_push, first, *rest[1:], *cotangents, **static)
        return [None, *found, *[None] * n]

    known = [x for x, no in zip(operands, unknown, strict=True) if not no]
    sought = [x.aval for x, no in zip(operands, unknown, strict=True) if no]

    def linear(*missing: Array) -> Any:
        ours, theirs = iter(missing), iter(known)
        return plain(**static)(*(next(ours if no else theirs) for no in unknown))

    found = iter(jax.linear_transpose(linear, *sought)(cotangents))
    return [next(found) if no else None for no in unknown]


_read = _primitive("read", _read_one, _cpu_read)
_push = _primitive("push", _push_one)
_splat = _primitive("splat", _splat_one, _cpu_splat, shared=False)
_slope = _primitive("slope", _slope_one, _cpu_slope)
ad.primitive_jvps[_read] = _read_jvp
