"""Plans a run on a TPU slice that is not there: does it fit, how do chips speak, what takes time.

The verb ``compile`` compiles the very step that ``fit`` would run there. Nothing is run or
measured: every second is the compiler's estimate (see `train.tpu`), without communication.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled

from train import tpu
from train.batches import Batch, check_batch, steps_per_dispatch
from train.config import Config
from train.data import load
from train.devices import AXIS
from train.errors import UserError
from train.evaluate import input_shape
from train.network import build_network
from train.optim import make_optimizer
from train.progress import say, show_table
from train.step import Data, make_init, make_train_step

PARTS = (
    "distortion",
    "localization",
    "grid",
    "sampler",
    "classifier",
    "loss",
    "optimizer",
    "average",
)
"""Parts of a step, by the names that the code gives them (`jax.named_scope`)."""

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Plan(NamedTuple):
    """A training step, compiled.

    Attributes:
        compiled: the program; one call does ``steps`` steps.
        steps: steps of a call.
        arrays: number of arrays in the training state.
    """

    compiled: Compiled
    steps: int
    arrays: int

    @property
    def donated(self) -> int:
        """Number of arrays that are overwritten by what becomes of them, and not copied."""
        text = self.compiled.as_text() or ""
        return text.count("may-alias") + text.count("must-alias")

    @property
    def seconds(self) -> dict[str, float]:
        """Estimated seconds of a step, by part."""
        sums: dict[str, float] = defaultdict(float)
        for part in tpu.parts(self.compiled):
            sums[part_of(part.scope)] += part.seconds / self.steps
        return dict(sums)


def part_of(scope: str) -> str:
    """Returns which of `PARTS` an instruction belongs to, by the name that JAX gave it.

    Example:
        >>> part_of("jit(several)/transpose(jvp(localization))/dot_general")
        'localization'
        >>> part_of("jit(several)/add")
        'other'
    """
    if scope.startswith("data."):  # images are brought into the order that distortion reads
        return "distortion"
    names = re.findall(r"\w+", scope)
    return next((name for name in names if name in PARTS), "other")


def compile_step(config: Config, devices: Sequence[jax.Device]) -> Plan:
    """Compiles the training step of a config for devices that need not be there.

    Args:
        config: of it the data are loaded, for their shapes; no batch is made.
        devices: of `tpu.describe`.

    Raises:
        UserError: for a batch that cannot be shared, or a program that does not fit.
    """
    dataset = load(config.data)
    run, count = config.train, len(dataset.y_train)
    check_batch(run.batch_size, count, len(devices))
    mesh = Mesh(np.array(devices), (AXIS,))
    shape = input_shape(config.data, dataset.image_shape)
    network = build_network(config.model, shape, dataset.num_classes, run.seed)
    optimizer = make_optimizer(config.optim, run.steps)
    steps = steps_per_dispatch(run, devices[0].platform)

    def abstract(array: Any, *axes: str | None) -> Any:  # a ShapeDtypeStruct in an array's place
        sharding = NamedSharding(mesh, P(*axes))
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)

    state = jax.tree.map(abstract, jax.eval_shape(make_init(network, optimizer, config, mesh)))
    data = Data(abstract(dataset.x_train), abstract(dataset.y_train))
    indices = jax.ShapeDtypeStruct((steps, run.batch_size), np.int32)
    epoch = jax.ShapeDtypeStruct((steps,), np.int32)
    batch = Batch(abstract(indices, None, AXIS), abstract(epoch))
    train_step: Any = make_train_step(network, optimizer, config, mesh)
    lowered = train_step.lower(state, data, batch)
    try:
        return Plan(lowered.compile(), steps, len(jax.tree.leaves(state)))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(_explain(str(error), config, len(devices))) from error


def _explain(message: str, config: Config, devices: int) -> str:
    """Says why a program does not fit, and what would."""
    sizes = re.findall(r"([\d.]+)([KMGT])\b", message)
    batch = config.train.batch_size
    what = "the step needs more memory than a chip has"
    advice = ""
    if len(sizes) >= 2:
        needed, available = (float(number) * _UNITS[unit] for number, unit in sizes[:2])
        what = f"the step needs {_size(needed)} of each chip's {_size(available)}"
        smaller = int(0.9 * batch * available / needed) // devices * devices
        if smaller:
            advice = f"--train.batch-size {smaller} should fit; or take "
    advice = advice or "take a smaller --train.batch-size, "
    return (
        f"{what}, with {batch // devices} images a chip; {advice}a slice with more chips, or "
        "smaller images by --data.canvas or --model.output-shape."
    )


def compile_for(config: Config, topology: str) -> int:
    """Compiles a config's training step for a TPU slice and prints the plan; verb ``compile``.

    Args:
        config: what would be trained.
        topology: such as ``"v5e:2x4"``, or ``"v5e:1x1"`` for one chip.

    Returns:
        The exit code.

    Raises:
        UserError: for an unknown slice, a missing libtpu, or a step that does not fit.
    """
    jax.config.update("jax_platforms", "cpu")  # a TPU that is there must not be taken
    devices = tpu.describe(topology)
    plan = compile_step(config, devices)
    chip = tpu.CHIPS[devices[0].device_kind]
    memory, seconds = tpu.memory(plan.compiled), plan.seconds
    total = sum(seconds.values())
    moved = tpu.collective_bytes(plan.compiled)
    a_call = "" if plan.steps == 1 else f" in the {plan.steps} steps of a dispatch"
    kept = "yes" if plan.donated == plan.arrays else "NO"

    say(
        f"{config.model.name}, batch {config.train.batch_size}, on {topology}: {len(devices)} x "
        f"{devices[0].device_kind}, {config.train.batch_size // len(devices)} images each"
    )
    show_table(
        {
            "memory of a chip": f"{_size(memory.total)} of {_size(chip.memory)}",
            "  arguments": f"{_size(memory.arguments)} (state, all images)",
            "  temporaries": _size(memory.temporaries),
            "  results": f"{_size(memory.outputs)}, {_size(memory.aliased)} in place of arguments",
            "  code": _size(memory.code),
            "state is donated": f"{kept}, {plan.donated} of {plan.arrays} arrays",
            **{
                kind: f"{times}{a_call}, {_size(moved[kind])}"
                for kind, times in tpu.collectives(plan.compiled).items()
            },
            "time of a step": f"{total * 1e6:,.0f} us, estimated, without communication",
            **{
                f"  {name}": f"{seconds[name] * 1e6:,.0f} us  {100 * seconds[name] / total:.0f} %"
                for name in (*PARTS, "other")
                if name in seconds
            },
            "speed": f"{1 / total:,.0f} steps/s, {config.train.batch_size / total:,.0f} examples/s",
            "steps of a dispatch": plan.steps,
        }
    )
    return 0


def _size(count: float) -> str:
    """Writes bytes as people do: powers of 1024, three digits.

    Example:
        >>> _size(16 << 30), _size(1_500_000)
        ('16.0 GiB', '1.43 MiB')
    """
    units = ("B", "KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log(max(count, 1) * 1.024, 1024)), len(units) - 1)  # 1000 MiB are 0.98 GiB
    number = count / 1024**power
    return f"{number:.{max(0, 3 - len(str(int(number)))) if power else 0}f} {units[power]}"
