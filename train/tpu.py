"""A TPU that is not there: compile for it, and read off the compiler's output what a program costs.

libtpu (extra ``tpu``) holds the whole compiler and runs on any machine. Nothing here is measured:
every second is the compiler's own estimate.

How time is estimated. The compiler writes ``estimated_cycles`` beside nearly every instruction of
its output; their sum, loop bodies times their trips, over the clock of the chip is the estimate.
Gathers, scatters and sorts carry no cycles: they are priced by the bytes that the compiler's own
cost analysis counts for them, over the bandwidth. `Compiled.cost_analysis` as a whole is of less
use (`roofline_seconds`): it counts a loop's body once. Both are below for comparison: a gather of
rows is priced alike, a scatter at its bytes there and at one tile read and written a row here.
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
_NAMED = ("scatter", "gather", "sort", "convolution", "dot", *_COLLECTIVES)  # what names a fusion
_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast")


@dataclass(frozen=True)
class Chip:
    """What one device of a kind is.

    Attributes:
        clock: in Hz.
        bandwidth: of its memory, in bytes/s.
        memory: of it, in bytes.
    """

    clock: float
    bandwidth: float
    memory: int


CHIPS = {
    # Clock: peak bf16 flops over those of one cycle, for v5e 1.97e14 / (2 * 4 * 128 * 128).
    # Bandwidth: what the compiler counts with, nine tenths of the peak.
    "TPU v4": Chip(1.05e9, 0.55e12, 32 << 30),
    "TPU v5 lite": Chip(1.5e9, 0.74e12, 16 << 30),
    "TPU v5": Chip(1.75e9, 2.5e12, 95 << 30),
    "TPU v6 lite": Chip(1.75e9, 1.48e12, 32 << 30),
    "TPU7x": Chip(2.2e9, 3.3e12, 96 << 30),
}
"""Every kind of device that can be compiled for, by jax's ``device_kind``."""


@dataclass(frozen=True)
class Part:
    """One instruction of a compiled program.

    Attributes:
        opcode: what it does: ``"convolution"`` (matrix products too), ``"fusion"``, ``"copy"``,
            ``"gather"``, ``"while"``, ``"all-reduce"`` ...
        scope: where it comes from, as jax names it: ``"jit(step)/jvp(conv)/add"``; may be empty.
        times: how often it runs in one call of the program.
        seconds: the estimate for all these times; 0 where there is none (collectives, transfers
            that overlap with computing).
    """

    opcode: str
    scope: str
    times: int
    seconds: float


@dataclass(frozen=True)
class Memory:
    """Bytes of one device that a program needs; ``aliased`` outputs live in donated arguments."""

    arguments: int
    outputs: int
    temporaries: int
    aliased: int
    code: int

    @property
    def total(self) -> int:
        """All of it at once."""
        return self.arguments + self.outputs + self.temporaries - self.aliased + self.code


def describe(topology: str) -> Sequence[jax.Device]:
    """Describes the devices of a TPU slice that is not there; programs compile for them.

    Args:
        topology: generation and shape, such as ``"v5e:2x4"`` or, one chip, ``"v5e:1x1"``.

    Returns:
        Devices, to be put into a mesh or a sharding.

    Raises:
        UserError: if there is no libtpu, or no such slice.
    """
    shape = re.fullmatch(r"\w+:(\d+(?:x\d+)*)", topology)
    if not shape:
        raise UserError(f"topology={topology!r} is not known; write one such as {_TOPOLOGIES}.")
    sizes = [int(size) for size in shape[1].split("x")]
    # One chip is less than the host that the compiler assumes; parallel processes share libtpu.
    options = {"chips_per_host_bounds": (1, 1, 1)} if math.prod(sizes) == 1 else {}
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"
    try:
        with _without_stderr():
            return topologies.get_topology_desc(
                platform="tpu", topology_name=topology, **options
            ).devices
    except Exception as error:  # what is raised depends on how libtpu is missing
        absent = ("libtpu", "TPU support not installed")
        if isinstance(error, ModuleNotFoundError) or any(words in str(error) for words in absent):
            raise UserError(
                "Compiling for a TPU needs libtpu: pip install 'stn-jax[tpu]' (no TPU is needed)."
            ) from error
        message = str(error).partition("\n")[0]
        raise UserError(
            f"topology={topology!r} is not one that exists ({message}); "
            f"write one such as {', '.join(_TOPOLOGIES)}, or '1x1' for one chip."
        ) from error


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Silences libtpu, which complains of every machine that is no TPU's host when it is loaded."""
    kept, sink = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def memory(compiled: Compiled) -> Memory:
    """Returns what a program needs of each device's memory."""
    sizes: Any = compiled.memory_analysis()
    return Memory(
        arguments=sizes.argument_size_in_bytes,
        outputs=sizes.output_size_in_bytes,
        temporaries=sizes.temp_size_in_bytes,
        aliased=sizes.alias_size_in_bytes,
        code=sizes.generated_code_size_in_bytes,
    )


def collectives(compiled: Compiled) -> dict[str, int]:
    """Counts how devices speak to each other in one call: ``{"all-reduce": 1}``."""
    counts: Counter[str] = Counter()
    for part in parts(compiled):
        opcode = part.opcode.removesuffix("-start")
        if opcode in _COLLECTIVES:
            counts[opcode] += part.times
    return dict(counts)


def collective_bytes(compiled: Compiled) -> dict[str, int]:
    """Counts the bytes that each kind of collective of a program gives out, loops' bodies once."""
    counts: Counter[str] = Counter()
    for instructions in _computations(compiled.as_text() or "")[0].values():
        for instruction in instructions:
            opcode = instruction.opcode.removesuffix("-start")
            if opcode in _COLLECTIVES:
                made = instruction.text.partition(" = ")[2].partition(f" {instruction.opcode}(")[0]
                for bits, shape in re.findall(r"[a-z]+(\d*)\[([\d,]*)\]", made):
                    counts[opcode] += math.prod(_numbers(shape)) * max(int(bits or 8) // 8, 1)
    return dict(counts)


def estimated_seconds(compiled: Compiled) -> float:
    """Returns the compiler's estimate of one call's time on one device."""
    return sum(part.seconds for part in parts(compiled))


def roofline_seconds(compiled: Compiled) -> float:
    """Returns ``cost_analysis``'s ``optimal_seconds``: operations and bytes at the chip's peak.

    It prices gathers and scatters by what they move alone and knows no cycles. Each custom call
    counts -1 second, taken back here: a call is taken to last less than a second.
    """
    costs: Any = compiled.cost_analysis()
    return costs["optimal_seconds"] % 1.0


def parts(compiled: Compiled) -> list[Part]:
    """Lists the instructions that one call of a program runs, those in loops as often as they run.

    Args:
        compiled: a program for devices of `describe`, with at least one argument.
    """
    device = next(iter(jax.tree.leaves(compiled.input_shardings)[0].device_set))
    program, entry = _computations(compiled.as_text() or "")
    return list(_run(program, entry, 1, CHIPS[device.device_kind]))


@dataclass(frozen=True)
class _Instruction:
    """One line of a program: its name, what it does and the line itself."""

    name: str
    opcode: str
    text: str

    def attribute(self, pattern: str) -> str:
        """Returns the pattern's group, or nothing."""
        found = re.search(pattern, self.text)
        return found[1] if found else ""

    def names(self, attribute: str) -> list[str]:
        """Lists the computations, or operands, that an attribute names."""
        return re.findall(r"%([\w.-]+)", self.attribute(attribute))


_Program = dict[str, list[_Instruction]]


def _computations(text: str) -> tuple[_Program, str]:
    """Splits a program's text into its computations, by name; and the name of the outermost."""
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


def _run(program: _Program, name: str, times: int, chip: Chip) -> Iterator[Part]:
    """Follows a computation, ``times`` times, into its loops and branches."""
    for instruction in program[name]:
        opcode, scope = instruction.opcode, instruction.attribute(r'op_name="([^"]*)"')
        if opcode == "while":
            trips = times * _trips(program, instruction)
            yield Part(opcode, scope, trips, 0.0)
            yield from _run(program, instruction.attribute(r"body=%([\w.-]+)"), trips, chip)
        elif opcode in ("conditional", "call"):
            called = instruction.names(r"((?:branch_computations=\{|to_apply=).*)")
            bodies = [list(_run(program, b, times, chip)) for b in called if b in program]
            yield from max(bodies, key=lambda body: sum(p.seconds for p in body), default=[])
        elif opcode not in _FREE:
            inside = list(_inside(program, instruction))
            opcode = next((n for n in _NAMED if n in {i.opcode for i in inside}), opcode)
            cycles = instruction.attribute(r'"estimated_cycles":"(\d+)"')
            if cycles:
                seconds = int(cycles) / chip.clock
            else:
                seconds = sum(_moved_bytes(i, inside) for i in inside) / chip.bandwidth
            yield Part(opcode, scope, times, times * seconds)


def _inside(program: _Program, instruction: _Instruction) -> Iterator[_Instruction]:
    """What a fusion is made of, fusions within it too; anything else is made of itself."""
    if instruction.opcode != "fusion":
        yield instruction
        return
    for inner in program[instruction.attribute(r"calls=%([\w.-]+)")]:
        yield from _inside(program, inner)


def _trips(program: _Program, loop: _Instruction) -> int:
    """How often a loop runs: the number that its condition compares with; 1 if it has none."""
    condition = program[loop.attribute(r"condition=%([\w.-]+)")]
    bounds = [int(i.attribute(r" constant\((\d+)\)") or 1) for i in condition]
    return max(bounds, default=1)


def _moved_bytes(instruction: _Instruction, around: list[_Instruction]) -> float:
    """Bytes that the compiler counts for a gather, a scatter or a sort; 0 for all else.

    Memory is read in tiles of 8 x 128 numbers. A row that lies along the 128 lanes costs whole
    tiles; a row across them, a number a tile, costs a block of 128 x 128. A scatter reads and
    writes. (So much ``cost_analysis`` counts for gathers compiled alone; a sort it leaves out,
    and scatters of wide rows: here a sort of n numbers is log n (log n + 1) / 2 passes.)
    """
    if instruction.opcode == "sort":
        passes = math.log2(max(max(_shape(instruction.text)), 2))
        return passes * (passes + 1) * 4 * sum(map(math.prod, _shapes(instruction.text)))
    if instruction.opcode not in ("gather", "scatter"):
        return 0.0
    operands = instruction.names(rf" {instruction.opcode}\(([^)]*)\)")
    lines = {i.name: i.text for i in around}
    image, indices = (lines[name] for name in operands[:2])
    shape, minor = _shape(image), _minor_axis(image)
    if instruction.opcode == "gather":
        row = [int(n) for n in instruction.attribute(r"slice_sizes=\{([\d,]+)\}").split(",")]
    else:
        gone = _numbers(instruction.attribute(r"inserted_window_dims=\{([\d,]*)\}"))
        row = [1 if axis in gone else size for axis, size in enumerate(shape)]
    lanes = [math.ceil(n / 128) if axis == minor else n for axis, n in enumerate(row)]
    across = math.prod(row) > 1 and row[minor] < shape[minor]
    read = 4 * 128 * (128 if across else 8) * (1 if across else math.prod(lanes))
    vector = int(instruction.attribute(r"index_vector_dim=(\d+)") or 0)
    rows = math.prod(n for axis, n in enumerate(_shape(indices)) if axis != vector)
    both = 2 if instruction.opcode == "scatter" else 1
    return rows * (both * read + 512 * (math.prod(lanes) + 1))


def _shapes(text: str) -> list[list[int]]:
    """The shapes of what an instruction makes."""
    made = text.partition(" = ")[2]
    made = re.split(r" [a-z][\w-]*\(", made, maxsplit=1)[0]
    return [_numbers(shape) for shape in re.findall(r"\w+\[([\d,]*)\]", made)]


def _shape(text: str) -> list[int]:
    return _shapes(text)[0]


def _minor_axis(text: str) -> int:
    """The axis that lies along the lanes."""
    found = re.search(r"\]\{(\d+)", text)
    return int(found[1]) if found else 0


def _numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]
