"""Writes taps.h: every row of stn_jax's kernels and padding modes as C++, from the JAX functions.

    python native/generate_taps.py taps.h

A row is an interpolation: kernel x padding mode x coordinates. Its mathematics is said once, in
`stn_jax.sampling.kernels` and `stn_jax.sampling.padding`. Here JAX traces it for one coordinate,
derivatives included, and each operation of the trace becomes a line of C++, without branches, so
that a compiler can work on several points at once.
"""

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES

# A mask is as wide as a number: compilers do not vectorize loops that mix in narrow booleans.
TYPES = {"float32": "float", "float64": "double", "int32": "int32_t", "bool": "int32_t"}

EXPRESSIONS = {
    "abs": "std::abs({0})",
    "add": "{0} + {1}",
    "add_any": "{0} + {1}",
    "and": "{0} & {1}",
    "ceil": "std::ceil({0})",
    "clamp": "std::min(std::max({1}, {0}), {2})",
    "copy": "{0}",
    "cos": "std::cos({0})",
    "div": "{0} / {1}",
    "eq": "{0} == {1}",
    "floor": "std::floor({0})",
    "ge": "{0} >= {1}",
    "gt": "{0} > {1}",
    "is_finite": "std::isfinite({0})",
    "le": "{0} <= {1}",
    "lt": "{0} < {1}",
    "max": "std::max({0}, {1})",
    "min": "std::min({0}, {1})",
    "mul": "{0} * {1}",
    "ne": "{0} != {1}",
    "neg": "-{0}",
    "not": "!{0}",
    "or": "{0} | {1}",
    "rem": "remainder({0}, {1})",
    "round": "std::rint({0})",  # halves to even: the only rounding that the rows use
    "select_n": "{0} ? {2} : {1}",
    "sign": "sign({0})",
    "sin": "std::sin({0})",
    "square": "{0} * {0}",
    "stop_gradient": "{0}",
    "sub": "{0} - {1}",
}
"""C++ of JAX's primitives; an operation on one number."""

SAME = {"broadcast_in_dim", "reshape", "squeeze"}
"""Primitives that do nothing to one number."""


def trace(kernel: str, padding: str, align_corners: bool, normalized: bool, dtype: Any) -> Any:
    """Traces ``(x, size, a) -> [is_nan, *indices, *weights, *slopes]`` for one coordinate."""

    def taps(x: Any, size: Any, a: Any) -> tuple[list[Any], list[Any]]:
        make = MODES[kernel]
        make = getattr(make, "__wrapped__", make)  # a cache does not take a traced coefficient
        row = Interpolation(make(a), PADDING_MODES[padding], align_corners, normalized)
        (pixel,), is_nan = row.coordinates([x], (size,))
        pairs = row.taps(pixel, size)
        return [weight for _, weight in pairs], [is_nan, *(index for index, _ in pairs)]

    def taps_and_slopes(x: Any, size: Any, a: Any) -> list[Any]:
        weights, slopes, others = jax.jvp(
            lambda x: taps(x, size, a), (x,), (jnp.ones_like(x),), has_aux=True
        )
        return [*others, *weights, *slopes]

    with jax.enable_x64(True), jax.disable_jit():
        number, size = jax.ShapeDtypeStruct((), dtype), jax.ShapeDtypeStruct((), np.int32)
        return jax.make_jaxpr(taps_and_slopes)(number, size, number)


def literal(value: Any, dtype: Any) -> str:
    """Writes a constant."""
    if dtype == np.bool_:
        return str(int(value))
    if np.issubdtype(dtype, np.floating):
        number = np.asarray(value, dtype)[()]
        if np.isinf(number):
            sign = "-" if number < 0 else ""
            return f"{sign}std::numeric_limits<{TYPES[str(dtype)]}>::infinity()"
        return float(number).hex() + ("f" if dtype == np.float32 else "")
    return str(int(value))


class Body:
    """C++ statements of a traced function, one for each operation."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._count = itertools.count()

    def add(self, jaxpr: Any, consts: Sequence[Any], arguments: Sequence[str]) -> list[str]:
        """Adds the operations of a trace and returns the names of its results."""
        names: dict[Any, str] = dict(zip(jaxpr.invars, arguments, strict=True))
        for var, const in zip(jaxpr.constvars, consts, strict=True):
            names[var] = literal(const, var.aval.dtype)
        for equation in jaxpr.eqns:
            operands = [self._name(x, names) for x in equation.invars]
            for var, name in zip(equation.outvars, self._call(equation, operands), strict=True):
                names[var] = name
        return [self._name(x, names) for x in jaxpr.outvars]

    def _name(self, x: Any, names: Mapping[Any, str]) -> str:
        return literal(x.val, x.aval.dtype) if hasattr(x, "val") else names[x]

    def _call(self, equation: Any, operands: Sequence[str]) -> list[str]:
        name, parameters = equation.primitive.name, equation.params
        inner = parameters.get("jaxpr", parameters.get("call_jaxpr"))
        if inner is not None:
            return self.add(inner.jaxpr, inner.consts, operands)
        if name in SAME:
            return list(operands[:1])
        dtype = TYPES[str(equation.outvars[0].aval.dtype)]
        if name == "convert_element_type":
            expression = f"static_cast<{dtype}>({operands[0]})"
        elif name == "integer_pow":
            product = " * ".join(operands * abs(parameters["y"]))
            expression = product if parameters["y"] > 0 else f"1 / ({product})"
        elif name in EXPRESSIONS:
            expression = EXPRESSIONS[name].format(*operands)
        else:
            raise NotImplementedError(f"{name} has no C++ in native/generate_taps.py: {equation}")
        result = f"v{next(self._count)}"
        self.lines.append(f"const {dtype} {result} = {expression};")
        return [result]


def rows() -> Iterator[tuple[str, str, bool, bool]]:
    """Lists every interpolation."""
    return itertools.product(MODES, PADDING_MODES, (False, True), (False, True))


def write(type_: str) -> Iterator[str]:
    """Writes the rows of a type, and the table that finds them; equal rows are written once."""
    written: dict[str, str] = {}
    table = []
    dtype = np.dtype({"float": np.float32, "double": np.float64}[type_])
    for row in rows():
        kernel, padding, align_corners, normalized = row
        traced, body = trace(*row, dtype), Body()
        is_nan, *results = body.add(traced.jaxpr, traced.consts, ["x", "size", "a"])
        num_taps = len(results) // 3
        stores = [f"out.nan[p] = {is_nan};"]
        for k, (name, value) in enumerate(
            zip(
                itertools.chain.from_iterable([n] * num_taps for n in ("index", "weight", "slope")),
                results,
                strict=True,
            )
        ):
            store = f"out.{name}[{k % num_taps}][p] = {value};"
            stores.append(f"if constexpr (kSlopes) {store}" if name == "slope" else store)
        text = "\n    ".join([*body.lines, *stores])
        if text not in written:
            written[text] = f"Row{len(written)}_{type_}"
            yield f"""
// {kernel}, {padding}, align_corners={align_corners}, normalized={normalized}
struct {written[text]} {{
  static constexpr int kTaps = {num_taps};
  template <bool kSlopes>
  static inline __attribute__((always_inline)) void at(
      {type_} x, int32_t size, {type_} a, Axis<{type_}>& out, int p) {{
    {text}
  }}
}};
"""
        key = "/".join(map(str, (kernel, padding, int(align_corners), int(normalized))))
        table.append(f'    {{"{key}", row<{written[text]}, {type_}>()}},')
    entries = "\n".join(table)
    yield f"""
template <>
const Rows<{type_}>& rows<{type_}>() {{
  static const Rows<{type_}> table = {{
{entries}
  }};
  return table;
}}
"""


def main(path: str) -> None:
    """Writes the file."""
    header = "// Written by generate_taps.py from the tables of stn_jax; included by maps.cc.\n"
    Path(path).write_text(header + "".join(itertools.chain(write("float"), write("double"))))


if __name__ == "__main__":
    main(sys.argv[1])
