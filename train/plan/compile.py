"""Compiles the training step ahead of time for a TPU topology: memory, collectives, estimated time.

The verb ``compile`` compiles the same step that ``fit`` runs. No TPU is needed and nothing is
measured: times are the compiler's estimates, without communication (see `train.plan.hlo`).
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled

from train.config.config import Config
from train.data.batches import Batch
from train.data.dataset import reads_by_index
from train.errors import UserError
from train.experiment import Experiment
from train.plan import hlo
from train.run.devices import AXIS
from train.run.progress import log, show_table

SCOPES = (
    "distortion",
    "localization",
    "grid",
    "sampler",
    "classifier",
    "loss",
    "optimizer",
    "average",
)
"""Parts of a step, named by `jax.named_scope` in the code."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Plan(NamedTuple):
    """A compiled training step.

    Attributes:
        compiled: the program; one call takes ``steps`` steps.
        steps: number of steps for each call.
        arrays: number of arrays in the training state.
    """

    compiled: Compiled
    steps: int
    arrays: int

    @property
    def donated(self) -> int:
        """Number of input arrays whose memory is reused for the outputs."""
        text = self.compiled.as_text() or ""
        return text.count("may-alias") + text.count("must-alias")

    @property
    def seconds(self) -> dict[str, float]:
        """Estimated seconds of a step, by scope."""
        sums: dict[str, float] = defaultdict(float)
        for cost in hlo.instruction_costs(self.compiled):
            sums[scope_of(cost.scope)] += cost.seconds / self.steps
        return dict(sums)


def scope_of(op_name: str) -> str:
    """Returns which of `SCOPES` an instruction belongs to, given its ``op_name``.

    Example:
        >>> scope_of("jit(scan_steps)/transpose(jvp(localization))/dot_general")
        'localization'
        >>> scope_of("jit(scan_steps)/add")
        'other'
    """
    if op_name.startswith("data["):  # a change of layout for the distortion
        return "distortion"
    names = re.findall(r"\w+", op_name)
    return next((name for name in names if name in SCOPES), "other")


def compile_step(config: Config, devices: Sequence[jax.Device]) -> Plan:
    """Compiles the training step of a config for devices that need not exist.

    Args:
        config: config of the run; its data are loaded, for their shapes.
        devices: devices from `hlo.topology_devices`.

    Raises:
        UserError: if the batch cannot be sharded, or the step does not fit into memory.
    """
    experiment = Experiment.from_config(config, devices=devices)
    run, mesh, steps = config.train, experiment.mesh, experiment.steps_per_dispatch

    def abstract(array: Any, *axes: str | None) -> Any:
        sharding = NamedSharding(mesh, P(*axes))
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)

    state = experiment.abstract_state
    assert experiment.data is not None
    arrays = experiment.data.splits["train"]
    data: Any = {name: abstract(array) for name, array in arrays.items()}
    rows: Any = None
    if reads_by_index(arrays):
        size = (steps, run.batch_size, 1 + experiment.task.others)
        each = {k: jax.ShapeDtypeStruct((*size, *x.shape[1:]), x.dtype) for k, x in arrays.items()}
        data, rows = None, {name: abstract(array, None, AXIS) for name, array in each.items()}
    indices = jax.ShapeDtypeStruct((steps, run.batch_size), np.int32)
    epoch = jax.ShapeDtypeStruct((steps,), np.int32)
    batch = Batch(abstract(indices, None, AXIS), abstract(epoch), rows)
    train_step: Any = experiment.train_step
    lowered = train_step.lower(state, data, batch)
    try:
        return Plan(lowered.compile(), steps, len(jax.tree.leaves(state)))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(_explain_out_of_memory(str(error), config, len(devices))) from error


def _explain_out_of_memory(message: str, config: Config, devices: int) -> str:
    """Returns a message with the memory that is missing and how to need less."""
    sizes = re.findall(r"([\d.]+)([KMGT])\b", message)
    batch = config.train.batch_size
    problem = "the step needs more memory than a chip has"
    advice = ""
    if len(sizes) >= 2:
        needed, available = (float(number) * _UNITS[unit] for number, unit in sizes[:2])
        problem = (
            f"the step needs {_format_bytes(needed)} of each chip's {_format_bytes(available)}"
        )
        smaller = int(0.9 * batch * available / needed) // devices * devices
        if smaller:
            advice = f"--train.batch-size {smaller} should fit; or use "
    advice = advice or "use a smaller --train.batch-size, "
    return (
        f"{problem}, with {batch // devices} images a chip; {advice}a slice with more chips, or "
        "smaller images with --distortion.canvas or --model.output-shape."
    )


def compile_for(config: Config, topology: str) -> int:
    """Compiles the training step for a TPU slice and prints its cost; the verb ``compile``.

    Args:
        config: config of the run.
        topology: such as ``"v5e:2x4"``, or ``"v5e:1x1"`` for one chip.

    Returns:
        The exit code.

    Raises:
        UserError: for an unknown topology, a missing libtpu, or a step that needs too much memory.
    """
    jax.config.update("jax_platforms", "cpu")  # do not claim a TPU of this machine
    devices = hlo.topology_devices(topology)
    plan = compile_step(config, devices)
    chip = hlo.CHIPS[devices[0].device_kind]
    memory, seconds = hlo.memory(plan.compiled), plan.seconds
    total = sum(seconds.values())
    moved = hlo.collective_bytes(plan.compiled)
    per_dispatch = "" if plan.steps == 1 else f" in the {plan.steps} steps of a dispatch"
    donated = "yes" if plan.donated == plan.arrays else "NO"

    log(
        f"{type(config.model).__name__}, batch {config.train.batch_size}, on {topology}: "
        f"{len(devices)} x {devices[0].device_kind}, "
        f"{config.train.batch_size // len(devices)} examples each"
    )
    show_table(
        {
            "memory of a chip": f"{_format_bytes(memory.total)} of {_format_bytes(chip.memory)}",
            "  arguments": f"{_format_bytes(memory.arguments)} (state, images)",
            "  temporaries": _format_bytes(memory.temporaries),
            "  results": f"{_format_bytes(memory.outputs)}, of which "
            f"{_format_bytes(memory.aliased)} reuse arguments",
            "  code": _format_bytes(memory.code),
            "state is donated": f"{donated}, {plan.donated} of {plan.arrays} arrays",
            **{
                kind: f"{times}{per_dispatch}, {_format_bytes(moved[kind])}"
                for kind, times in hlo.collectives(plan.compiled).items()
            },
            "time of a step": f"{total * 1e6:,.0f} us, estimated, without communication",
            **{
                f"  {name}": f"{seconds[name] * 1e6:,.0f} us  {100 * seconds[name] / total:.0f} %"
                for name in (*SCOPES, "other")
                if name in seconds
            },
            "speed": f"{1 / total:,.0f} steps/s, {config.train.batch_size / total:,.0f} examples/s",
            "steps of a dispatch": plan.steps,
        }
    )
    return 0


def _format_bytes(count: float) -> str:
    """Formats a number of bytes with a binary prefix and three digits.

    Example:
        >>> _format_bytes(16 << 30), _format_bytes(1_500_000)
        ('16.0 GiB', '1.43 MiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log(max(count, 1) * 1.024, 1024)), len(units) - 1)  # 1000 MiB is 0.98 GiB
    number = count / 1024**power
    return f"{number:.{max(0, 3 - len(str(int(number)))) if power else 0}f} {units[power]}"
