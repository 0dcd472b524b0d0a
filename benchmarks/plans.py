"""Does each config fit a TPU slice, how do its chips communicate, and how long is a step?

    python benchmarks/plans.py configs/mnist_*.py --topologies v5e:2x4 v6e:4x4 v5p:2x2x2
    python benchmarks/plans.py configs/svhn_64_st_cnn_multi.py --meshes 8,1 4,2

Compiles the training step ahead of time for each topology (see ``python -m train compile``):
nothing is measured, and no TPU is needed. Prints a Markdown table. What `--out` has already is not
compiled again, so a run that is stopped goes on where it was. MNIST is stood for by the bundled
digits, a sixth as many, and house numbers by black pictures, which are read by index.
"""

import argparse
import dataclasses
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
from rich.console import Console

from train.config import Config, HouseNumbers, Images
from train.config.files import load_config
from train.data.house_numbers import CLASS_NAMES
from train.data.lazy import LazyArray
from train.errors import UserError
from train.plan import hlo
from train.plan.compile import compile_step

ROOT = Path(__file__).resolve().parents[1]
TOPOLOGIES = ("v5e:2x4", "v6e:4x4", "v5p:2x2x2")


@dataclasses.dataclass(frozen=True)
class BlankNumbers:
    """Black pictures with labels, of the shapes of house numbers."""

    image_size: int
    length: int

    def build(self) -> SimpleNamespace:
        """Returns images that are read by index, and their labels."""
        shape = (self.image_size, self.image_size, 3)
        images = LazyArray.create(lambda rows: np.zeros((len(rows), *shape), np.uint8), 1000)
        labels = np.zeros((1000, self.length), np.int32)
        train = {"images": images, "labels": labels}
        info = {"class_names": list(CLASS_NAMES)}
        return SimpleNamespace(name="house numbers", splits={"train": train}, info=info)


def with_small_data(config: Config) -> Config:
    """Returns a config with data of the same shapes that are here."""
    data = config.data
    if isinstance(data, Images):
        return dataclasses.replace(config, data=dataclasses.replace(data, name="bundled"))
    if isinstance(data, HouseNumbers):
        return dataclasses.replace(config, data=BlankNumbers(data.image_size, data.length))
    return config


def plan(config: Config, topology: str) -> dict[str, Any]:
    """Compiles a config's step for a topology."""
    devices, start = hlo.topology_devices(topology), time.perf_counter()
    try:
        compiled = compile_step(config, devices)
    except UserError as error:
        return {"verdict": str(error)}
    chip = hlo.CHIPS[devices[0].device_kind]
    return {
        "verdict": "fits",
        "memory": hlo.memory(compiled.compiled).total,
        "chip_memory": chip.memory,
        "collectives": dict(hlo.collectives(compiled.compiled)),
        "collective_bytes": dict(hlo.collective_bytes(compiled.compiled)),
        "steps": compiled.steps,
        "donated": compiled.donated == compiled.arrays,
        "step_seconds": sum(compiled.seconds.values()),
        "compile_seconds": time.perf_counter() - start,
    }


def row(name: str, topology: str, mesh: str, found: dict[str, Any]) -> str:
    """Returns a row of the table."""
    if found["verdict"] != "fits":
        return f"| {name} | {topology} | {mesh} | {found['verdict']} | | | |"
    kinds = []
    for kind, count in found["collectives"].items():
        size = found["collective_bytes"][kind] / 1e6
        each = f"{count} in {found['steps']} steps" if found["steps"] > 1 else f"{count}"
        kinds.append(f"{kind}: {each}, {size:.3g} MB")
    memory = f"{found['memory'] / 2**20:,.0f} of {found['chip_memory'] / 2**20:,.0f} MiB"
    seconds = found["step_seconds"]
    return (
        f"| {name} | {topology} | {mesh} | fits, {memory} | {'; '.join(kinds)} "
        f"| {seconds * 1e3:.3g} ms |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compiles everything and prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--topologies", nargs="+", default=TOPOLOGIES)
    parser.add_argument("--meshes", nargs="+", default=["0,1"], help="values of train.mesh")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "benchmarks" / "plans.json")
    options = parser.parse_args(arguments)

    jax.config.update("jax_platforms", "cpu")  # do not claim a TPU of this machine
    done = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, topology, mesh in itertools.product(
        options.configs, options.topologies, options.meshes
    ):
        key = f"{path.stem} {topology} {mesh}"
        if key not in done:
            config = with_small_data(load_config(path))
            data, model = map(int, mesh.split(","))
            train = dataclasses.replace(config.train, mesh=(data, model))
            done[key] = plan(dataclasses.replace(config, train=train), topology)
            options.out.write_text(json.dumps(done, indent=1))
        rows.append(row(path.stem, topology, mesh, done[key]))
        Console(stderr=True).print(rows[-1], markup=False)
    print("| config | slice | mesh | memory of a chip | collectives | a step, estimated |")
    print("|---|---|---|---|---|---|")
    print("\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
