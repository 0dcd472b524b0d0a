"""A JAX primitive from a function: batching, derivatives, lowerings. Knows JAX, and no image.

A `Map` is a function of arrays, written for one example, that is linear in all of its operands but
the last, the points. From that follow JAX's rules:

- shape: said by the map, so that tracing never runs the function;
- `jax.vmap`: a leading axis for all operands; a first operand without it stays shared, and the
  batch becomes an axis of points;
- derivative: in a linear operand the map itself at the tangent; in the points another map, or that
  of the function;
- transpose: another map, or that of the function;
- lowering: the platform's own form where there is one, else the function under `jax.vmap`.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

Fn = Callable[..., Array]


class Map:
    """A map of arrays as a primitive; call it with arrays and static keyword arguments.

    Args:
        name: what programs show.
        function: ``(*operands, **static) -> array`` for one example.
        shape: ``(*operand shapes, **static) -> shape`` of the result, for one example.
        run: ``(name, function, platform, *operands, batch, is_local, **static) -> array``, what a
            platform runs for operands with ``batch`` leading axes; platform None is any other;
            ``is_local`` says that the program runs in this process, on one device.
        platforms: those that may have a form of their own.
        shares_first: whether a first operand without a batch axis stays shared, and the batch
            becomes an axis of points.

    Attributes:
        change_of_points: the map ``(*linear operands, tangent of points, points)`` that is the
            derivative in the points; None differentiates the function.
        transposes: for an operand's index the function ``(cotangent, *other operands) -> array``.
    """

    def __init__(
        self,
        name: str,
        function: Fn,
        shape: Callable[..., tuple[Any, ...]],
        *,
        run: Fn,
        platforms: Sequence[str],
        shares_first: bool,
    ):
        self.function, self.shape, self.shares_first = function, shape, shares_first
        self.change_of_points: Fn | None = None
        self.transposes: dict[int, Fn] = {}
        self.primitive = primitive = Primitive(f"stn_{name}")
        primitive.def_impl(self._run)
        primitive.def_abstract_eval(self._aval)
        batching.primitive_batchers[primitive] = self._batch
        ad.primitive_jvps[primitive] = self._jvp
        ad.primitive_transposes[primitive] = self._transpose
        for platform in (None, *platforms):
            form = functools.partial(run, name, function, platform)
            mlir.register_lowering(primitive, _bare_lowering(form), platform=platform)

    def __call__(self, *operands: Array, batch: int = 0, **static: Any) -> Array:
        """Binds operands, made to vary over the same axes of a `jax.shard_map`."""
        varying = [_varying_axes(x) for x in operands]
        axes = frozenset().union(*varying)
        same = [
            jax.lax.pcast(x, tuple(axes - own), to="varying") if axes - own else x
            for x, own in zip(operands, varying, strict=True)
        ]
        result: Array = self.primitive.bind(*same, batch=batch, **static)
        return result

    def _batched(self, batch: int, **static: Any) -> Fn:
        function = functools.partial(self.function, **static)
        for _ in range(batch):
            function = jax.vmap(function)
        return function

    def _run(self, *operands: Array, **static: Any) -> Array:
        with jax.disable_jit(False):  # else the program would call this again
            return _compiled(self.primitive, **static)(*operands)

    def _aval(self, *operands: ShapedArray, batch: int, **static: Any) -> ShapedArray:
        first = operands[0]
        lead, shapes = first.shape[:batch], [x.shape[batch:] for x in operands]
        shape = (*lead, *self.shape(*shapes, **static))
        unsharded = NamedSharding(first.sharding.mesh, PartitionSpec(*[None] * len(shape)))
        result: ShapedArray = first.update(shape=shape, weak_type=False, sharding=unsharded)
        return result

    def _batch(
        self, operands: Sequence[Array], axes: Sequence[Any], *, batch: int, **static: Any
    ) -> tuple[Array, int]:
        size = next(x.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None)
        shares = self.shares_first and axes[0] is None
        place = batch if shares else 0  # where the new axis goes
        moved = []
        for x, axis in zip(operands[shares:], axes[shares:], strict=True):
            if axis is None:
                lead, rest = x.shape[:place], x.shape[place:]
                x = jnp.broadcast_to(jnp.expand_dims(x, place), (*lead, size, *rest))
            else:
                x = jnp.moveaxis(x, axis, place)
            moved.append(x)
        out = self(*operands[:shares], *moved, batch=batch + (not shares), **static)
        return out, place

    def _jvp(
        self, primals: Sequence[Array], tangents: Sequence[Any], **static: Any
    ) -> tuple[Array, Any]:
        *linear, points = primals
        *d_linear, d_points = tangents
        changes = [
            self(*linear[:k], d, *linear[k + 1 :], points, **static)
            for k, d in enumerate(d_linear)
            if type(d) is not ad.Zero
        ]
        if type(d_points) is not ad.Zero:
            if self.change_of_points is not None:
                changes.append(self.change_of_points(*linear, d_points, points, **static))
            else:
                function = functools.partial(self._batched(**static), *linear)
                changes.append(jax.jvp(function, (points,), (d_points,))[1])
        value = self(*primals, **static)
        if not changes:
            return value, ad.Zero(jax.typeof(value).to_tangent_aval())
        return value, functools.reduce(jnp.add, changes)

    def _transpose(self, cotangent: Any, *operands: Any, **static: Any) -> list[Any]:
        unknown = [k for k, x in enumerate(operands) if ad.is_undefined_primal(x)]
        result: list[Any] = [None] * len(operands)
        if len(unknown) > 1:
            raise NotImplementedError(f"{self.primitive} is not linear in operands {unknown}")
        (k,) = unknown
        others = [x for x in operands if not ad.is_undefined_primal(x)]
        if type(cotangent) is ad.Zero:
            result[k] = ad.Zero(operands[k].aval)
        elif k in self.transposes:
            result[k] = self.transposes[k](cotangent, *others, **static)
        else:
            function = self._batched(**static)
            zero = jnp.zeros(operands[k].aval.shape, operands[k].aval.dtype)
            _, pull = jax.vjp(lambda x: function(*others[:k], x, *others[k:]), zero)
            (result[k],) = pull(cotangent)
        return result


@functools.lru_cache(maxsize=1024)
def _compiled(primitive: Primitive, **static: Any) -> Fn:
    return jax.jit(functools.partial(primitive.bind, **static))


def _bare_lowering(form: Fn) -> Any:
    """The lowering of a function outside any mesh: its constants would be typed by the mesh around.

    The types of results are known from `Map`. (A Pallas kernel still asks for ``check_vma=False``
    of a `jax.shard_map` around it: that reads the mesh of the program.)
    """

    def lower(ctx: Any, *operands: Any, **static: Any) -> Any:
        bare = [ShapedArray(x.shape, x.dtype) for x in ctx.avals_in]
        outs = [ShapedArray(x.shape, x.dtype) for x in ctx.avals_out]
        module = ctx.module_context
        context = module.axis_context
        num_devices = getattr(context, "num_devices", 1)
        if hasattr(context, "manual_axes"):  # inside a `jax.shard_map`
            sizes = dict(context.mesh.shape)
            num_devices = math.prod(sizes[axis] for axis in sizes.keys() - context.manual_axes)
        is_local = num_devices == 1 and not module.lowering_parameters.for_export
        program = functools.partial(form, is_local=is_local, **static)
        rule = mlir.lower_fun(program, multiple_results=False)
        with jax.sharding.use_abstract_mesh(jax.sharding.AbstractMesh((), ())):
            return rule(ctx.replace(avals_in=bare, avals_out=outs), *operands)

    return lower


def _varying_axes(x: Array) -> frozenset[str]:
    """The axes of a `jax.shard_map` over which an array varies."""
    aval: Any = jax.typeof(x)
    has_type = hasattr(aval, "manual_axis_type")
    varying: frozenset[str] = aval.manual_axis_type.varying if has_type else aval.vma
    return varying
