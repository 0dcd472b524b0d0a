"""Costs of programs compiled for a TPU, read from the compiler's output; no TPU is needed.

libtpu (extra ``tpu``) contains the whole compiler and runs on any machine. Nothing is measured: all
times are estimates of the compiler.

The compiler annotates nearly every instruction with ``estimated_cycles``. The estimated time is
their sum, with loop bodies multiplied by their trip counts, divided by the clock of the chip.
Gathers, scatters and sorts have no cycles; their time is the bytes they move, as counted by the
compiler's cost analysis, divided by the bandwidth. `Compiled.cost_analysis` itself is less useful
(`roofline_seconds`), since it counts the body of a loop once. The two agree on gathers of rows; for
a scatter it counts the updated bytes, and this module a tile read and written for each row.
"""

import math
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
from jax.experimental import topologies
from jax.stages import Compiled

from train.errors import UserError

_TOPOLOGIES = ("v4:2x2x1", "v5e:2x4", "v5p:2x2x1", "v6e:2x4", "tpu7x:2x2x1")
_COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute")
_NAMED = (
    "scatter",
    "gather",
    "sort",
    "convolution",
    "dot",
    *_COLLECTIVES,
)  # a fusion is named after the first of these in it
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")


@dataclass(frozen=True)
class Chip:
    """Properties of one device.

    Attributes:
        clock: in Hz.
        bandwidth: memory bandwidth in bytes/s.
        memory: memory size in bytes.
    """

    clock: float
    bandwidth: float
    memory: int


CHIPS = {
    # Clock: peak bf16 flops divided by flops per cycle, for v5e 1.97e14 / (2 * 4 * 128 * 128).
    # Bandwidth: the value that the compiler uses, nine tenths of the peak.
    "TPU v4": Chip(1.05e9, 0.55e12, 32 << 30),
    "TPU v5 lite": Chip(1.5e9, 0.74e12, 16 << 30),
    "TPU v5": Chip(1.75e9, 2.5e12, 95 << 30),
    "TPU v6 lite": Chip(1.75e9, 1.48e12, 32 << 30),
    "TPU7x": Chip(2.2e9, 3.3e12, 96 << 30),
}
"""Properties of each TPU generation, by JAX's ``device_kind``."""


@dataclass(frozen=True)
class InstructionCost:
    """Estimated cost of one instruction of a compiled program.

    Attributes:
        opcode: ``"convolution"`` (matrix products too), ``"fusion"``, ``"copy"``, ``"gather"``,
            ``"while"``, ``"all-reduce"`` ...
        scope: its ``op_name`` from JAX, such as ``"jit(step)/jvp(conv)/add"``; may be empty.
        times: number of executions in one call of the program.
        seconds: estimated time of all executions; 0 for collectives and for transfers that overlap
            with computation.
    """

    opcode: str
    scope: str
    times: int
    seconds: float


@dataclass(frozen=True)
class Memory:
    """Bytes that a program needs on one device; ``aliased`` outputs reuse donated arguments."""

    arguments: int
    outputs: int
    temporaries: int
    aliased: int
    code: int

    @property
    def total(self) -> int:
        """The total."""
        return self.arguments + self.outputs + self.temporaries - self.aliased + self.code


def topology_devices(topology: str) -> Sequence[jax.Device]:
    """Returns devices of a TPU slice, for ahead-of-time compilation only.

    Args:
        topology: generation and shape, such as ``"v5e:2x4"``, or ``"v5e:1x1"`` for one chip.

    Returns:
        Devices for a mesh or a sharding.

    Raises:
        UserError: if libtpu is not installed, or the topology is unknown.
    """
    shape = re.fullmatch(r"\w+:(\d+(?:x\d+)*)", topology)
    if not shape:
        raise UserError(
            f"topology={topology!r} is unknown; use one such as {', '.join(_TOPOLOGIES)}."
        )
    sizes = [int(size) for size in shape[1].split("x")]
    # The compiler assumes hosts with more than one chip. Let parallel processes load libtpu.
    options = {"chips_per_host_bounds": (1, 1, 1)} if math.prod(sizes) == 1 else {}
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    try:
        with _without_stderr():
            return topologies.get_topology_desc(
                platform="tpu", topology_name=topology, **options
            ).devices
    except Exception as error:  # the type depends on how libtpu is missing
        absent = ("libtpu", "TPU support not installed")
        if isinstance(error, ModuleNotFoundError) or any(words in str(error) for words in absent):
            raise UserError(
                "compiling for a TPU needs libtpu (but no TPU): pip install 'stn-jax[tpu]'"
            ) from error
        message = str(error).partition("\n")[0]
        raise UserError(
            f"topology={topology!r} does not exist ({message}); "
            f"use one such as {', '.join(_TOPOLOGIES)}, or '1x1' for one chip."
        ) from error


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silences libtpu, which warns on loading if the machine has no TPU."""
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def memory(compiled: Compiled) -> Memory:
    """Returns the memory that a program needs on each device."""
    sizes: Any = compiled.memory_analysis()
    return Memory(
        arguments=sizes.argument_size_in_bytes,
        outputs=sizes.output_size_in_bytes,
        temporaries=sizes.temp_size_in_bytes,
        aliased=sizes.alias_size_in_bytes,
        code=sizes.generated_code_size_in_bytes,
    )


def collectives(compiled: Compiled) -> dict[str, int]:
    """Counts the collectives executed in one call, such as ``{"all-reduce": 1}``."""
    counts: Counter[str] = Counter()
    for cost in instruction_costs(compiled):
        opcode = cost.opcode.removesuffix("-start")
        if opcode in _COLLECTIVES:
            counts[opcode] += cost.times
    return dict(counts)


def collective_bytes(compiled: Compiled) -> dict[str, int]:
    """Counts the output bytes of each kind of collective, with loop bodies counted once."""
    counts: Counter[str] = Counter()
    for instructions in _computations(compiled.as_text() or "")[0].values():
        for instruction in instructions:
            opcode = instruction.opcode.removesuffix("-start")
            if opcode in _COLLECTIVES:
                outputs = instruction.text.partition(" = ")[2].partition(f" {instruction.opcode}(")[
                    0
                ]
                for bits, shape in re.findall(r"[a-z]+(\d*)\[([\d,]*)\]", outputs):
                    counts[opcode] += math.prod(_numbers(shape)) * max(int(bits or 8) // 8, 1)
    return dict(counts)


def estimated_seconds(compiled: Compiled) -> float:
    """Returns the compiler's estimate of the time of one call on one device."""
    return sum(cost.seconds for cost in instruction_costs(compiled))


def roofline_seconds(compiled: Compiled) -> float:
    """Returns ``optimal_seconds`` of ``cost_analysis``: operations and bytes at peak rates.

    It ignores cycles and counts only the bytes of gathers and scatters. It adds -1 second for each
    custom call, which is undone here by assuming that a call takes less than a second.
    """
    costs: Any = compiled.cost_analysis()
    seconds: float = costs["optimal_seconds"]
    return seconds % 1.0


def instruction_costs(compiled: Compiled) -> list[InstructionCost]:
    """Lists the instructions executed by one call of a program, with their estimated costs.

    Args:
        compiled: a program for devices of `topology_devices`, with at least one argument.
    """
    device = next(iter(jax.tree.leaves(compiled.input_shardings)[0].device_set))
    program, entry = _computations(compiled.as_text() or "")
    return list(_walk(program, entry, 1, CHIPS[device.device_kind]))


@dataclass(frozen=True)
class _Instruction:
    """One line of a program: its name, its opcode and the line itself."""

    name: str
    opcode: str
    text: str

    def attribute(self, pattern: str) -> str:
        """Returns the first group of a pattern in the line, or an empty string."""
        found = re.search(pattern, self.text)
        return found[1] if found else ""

    def names(self, attribute: str) -> list[str]:
        """Lists the names of computations or operands in an attribute."""
        return re.findall(r"%([\w.-]+)", self.attribute(attribute))


_Program = dict[str, list[_Instruction]]


def _computations(text: str) -> tuple[_Program, str]:
    """Parses a program into computations by name; also returns the name of the entry."""
    program: _Program = {}
    entry = name = ""
    for line in text.splitlines():
        if start := re.match(r"(ENTRY )?%(\S+) \(.*\{$", line):
            name = start[2]
            program[name] = []
            entry = name if start[1] else entry
        elif found := re.match(r"\s+(?:ROOT )?%(\S+) = .*?[})\]] ([a-z][\w-]*)\(", line):
            program[name].append(_Instruction(found[1], found[2], line))
    return program, entry


def _walk(program: _Program, name: str, times: int, chip: Chip) -> Iterator[InstructionCost]:
    """Yields the instructions of a computation executed ``times`` times, loops and branches too."""
    for instruction in program[name]:
        opcode, scope = instruction.opcode, instruction.attribute(r'op_name="([^"]*)"')
        if opcode == "while":
            trips = times * _trip_count(program, instruction)
            yield InstructionCost(opcode, scope, trips, 0.0)
            yield from _walk(program, instruction.attribute(r"body=%([\w.-]+)"), trips, chip)
        elif opcode in ("conditional", "call"):
            called = instruction.names(r"((?:branch_computations=\{|to_apply=).*)")
            bodies = [list(_walk(program, b, times, chip)) for b in called if b in program]
            yield from max(bodies, key=lambda body: sum(p.seconds for p in body), default=[])
        elif opcode not in _FREE:
            inside = list(_flatten_fusion(program, instruction))
            opcode = next((n for n in _NAMED if n in {i.opcode for i in inside}), opcode)
            cycles = instruction.attribute(r'"estimated_cycles":"(\d+)"')
            if cycles:
                seconds = int(cycles) / chip.clock
            else:
                seconds = sum(_moved_bytes(i, inside) for i in inside) / chip.bandwidth
            yield InstructionCost(opcode, scope, times, times * seconds)


def _flatten_fusion(program: _Program, instruction: _Instruction) -> Iterator[_Instruction]:
    """Yields the instructions inside a fusion, recursively, or the instruction itself."""
    if instruction.opcode != "fusion":
        yield instruction
        return
    for inner in program[instruction.attribute(r"calls=%([\w.-]+)")]:
        yield from _flatten_fusion(program, inner)


def _trip_count(program: _Program, loop: _Instruction) -> int:
    """Returns the trip count of a loop: the constant in its condition, or 1 without one."""
    condition = program[loop.attribute(r"condition=%([\w.-]+)")]
    bounds = [int(i.attribute(r" constant\((\d+)\)") or 1) for i in condition]
    return max(bounds, default=1)


def _moved_bytes(instruction: _Instruction, fusion: list[_Instruction]) -> float:
    """Returns the bytes moved by a gather, a scatter or a sort; 0 for other instructions.

    Memory is read in tiles of 8 x 128 numbers. A row along the 128 lanes reads whole tiles; a row
    across the lanes reads a block of 128 x 128 numbers. A scatter reads and writes. This matches
    ``cost_analysis`` for gathers compiled alone. It omits sorts and scatters of wide rows; a sort
    of n numbers counts as log n (log n + 1) / 2 passes here.
    """
    if instruction.opcode == "sort":
        passes = math.log2(max(max(_shape(instruction.text)), 2))
        return passes * (passes + 1) * 4 * sum(map(math.prod, _shapes(instruction.text)))
    if instruction.opcode not in ("gather", "scatter"):
        return 0.0
    operands = instruction.names(rf" {instruction.opcode}\(([^)]*)\)")
    lines = {i.name: i.text for i in fusion}
    image, indices = (lines[name] for name in operands[:2])
    shape, minor = _shape(image), _minor_axis(image)
    if instruction.opcode == "gather":
        row = [int(n) for n in instruction.attribute(r"slice_sizes=\{([\d,]+)\}").split(",")]
    else:
        inserted = _numbers(instruction.attribute(r"inserted_window_dims=\{([\d,]*)\}"))
        row = [1 if axis in inserted else size for axis, size in enumerate(shape)]
    lanes = [math.ceil(n / 128) if axis == minor else n for axis, n in enumerate(row)]
    across = math.prod(row) > 1 and row[minor] < shape[minor]
    read = 4 * 128 * (128 if across else 8) * (1 if across else math.prod(lanes))
    vector = int(instruction.attribute(r"index_vector_dim=(\d+)") or 0)
    rows = math.prod(n for axis, n in enumerate(_shape(indices)) if axis != vector)
    accesses = 2 if instruction.opcode == "scatter" else 1
    return rows * (accesses * read + 512 * (math.prod(lanes) + 1))


def _shapes(text: str) -> list[list[int]]:
    """Returns the shapes of the outputs of an instruction."""
    outputs = text.partition(" = ")[2]
    outputs = re.split(r" [a-z][\w-]*\(", outputs, maxsplit=1)[0]
    return [_numbers(shape) for shape in re.findall(r"\w+\[([\d,]*)\]", outputs)]


def _shape(text: str) -> list[int]:
    return _shapes(text)[0]


def _minor_axis(text: str) -> int:
    """Returns the axis that lies along the lanes."""
    found = re.search(r"\]\{(\d+)", text)
    return int(found[1]) if found else 0


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]
