"""How much memory does a pass need at its peak, here and elsewhere, and what does ours keep?

    python benchmarks/memory.py --out runs/benchmarks/memory.json

Each library runs in its own process: one call to warm up, return of freed memory to the kernel,
reset of the kernel's high-water mark, three calls. The peak is the mark minus the memory resident
before.
"""

import argparse
import ctypes
import gc
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from peers import PASSES, PEERS, CannotDo, compiled, jax_peer, job, ours
from rich.console import Console
from rich.table import Table
from timing import save

import stn_jax as stn

_STATUS = Path("/proc/self/status")
_CALLS = 3


def planned_bytes(program: jax.stages.Compiled) -> dict[str, int]:
    """Returns the bytes of a compiled program's arguments, results and temporaries."""
    sizes: Any = program.memory_analysis()
    return {
        "arguments": sizes.argument_size_in_bytes,
        "results": sizes.output_size_in_bytes - sizes.alias_size_in_bytes,
        "temporaries": sizes.temp_size_in_bytes,
    }


def residual_bytes(size: str, backend: str) -> dict[str, int]:
    """Returns the bytes of the residuals of `stn_jax.grid_sample` and of its inputs."""
    inputs = job(size, "both")
    grid = stn.affine_grid(inputs.theta, inputs.shape)

    def sample(image: jax.Array, grid: jax.Array) -> jax.Array:
        return stn.grid_sample(image, grid, backend=backend)

    residuals = jax.eval_shape(lambda *inputs: jax.vjp(sample, *inputs)[1], inputs.image, grid)
    sizes = [math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(residuals)]
    return {"image_and_grid": inputs.image.nbytes + grid.nbytes, "kept": sum(sizes)}


def peak_here(name: str, size: str, pass_: str, backend: str) -> int:
    """Returns the peak memory of a pass in this process in bytes, results included."""
    inputs = job(size, pass_)
    peer = (
        jax_peer(inputs, ours(inputs.mode, backend)) if name == "stn_jax" else PEERS[name](inputs)
    )
    *_, competitor = peer.competitors.values()  # the one with most threads
    competitor.prepare()
    jax.block_until_ready(competitor.call())
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    for _ in range(_CALLS):
        jax.block_until_ready(competitor.call())
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def peak_in_process(name: str, size: str, pass_: str, backend: str) -> int | None:
    """Returns `peak_here` of a fresh process; None if the library does not support the pass."""
    command = [sys.executable, __file__, "--only", name, "--sizes", size]
    command += ["--passes", pass_, "--backend", backend]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    peak: int | None = json.loads(done.stdout.splitlines()[-1])
    return peak


def print_peaks(console: Console, rows: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """Prints the peaks in megabytes, with the word win or LOSS."""
    table = Table(title="peak memory in MB, results included, and relative to stn_jax")
    table.add_column("N,H,W,C")
    table.add_column("pass")
    for heading in ("stn_jax", "results", "planned temporaries", *peers):
        table.add_column(heading, justify="right")
    for row in rows:
        mine, plan = row["peaks"]["stn_jax"], row["planned"]
        texts = [f"{size / 1e6:.1f}" for size in (mine, plan["results"], plan["temporaries"])]
        for name in peers:
            theirs = row["peaks"][name]
            word = "[green]win[/]" if theirs and theirs >= mine else "[bold red]LOSS[/]"
            texts.append(f"{theirs / 1e6:.1f}\n{theirs / mine:.2f}x {word}" if theirs else "-")
        table.add_row(row["size"], row["pass"], *texts)
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures the sizes and passes given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = ["2,512,512,16"]
    parser.add_argument("--sizes", nargs="+", default=default, metavar="N,H,W,C[:H,W]")
    parser.add_argument("--passes", nargs="+", choices=PASSES, default=["forward", "both"])
    default = ["torch", "map_coordinates", "kornia"]
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=default)
    parser.add_argument("--backend", default="auto", help="backend of stn_jax")
    parser.add_argument("--only", choices=("stn_jax", *PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="where to write JSON")
    options = parser.parse_args(arguments)
    if options.only:  # a process for one measurement
        try:
            (size,), (pass_,) = options.sizes, options.passes
            print(peak_here(options.only, size, pass_, options.backend))
        except CannotDo:
            print("null")
        return
    if not _STATUS.exists():
        raise SystemExit("memory.py needs /proc/self/status, which only Linux has.")

    rows = [
        {
            "size": size,
            "pass": pass_,
            "planned": planned_bytes(compiled(job(size, pass_), options.backend)[0]),
            "peaks": {
                name: peak_in_process(name, size, pass_, options.backend)
                for name in ("stn_jax", *options.peers)
            },
        }
        for size in options.sizes
        for pass_ in options.passes
    ]
    residuals = {size: residual_bytes(size, options.backend) for size in options.sizes}
    console = Console(width=max(Console().width, 120))
    print_peaks(console, rows, options.peers)
    for size, sizes in residuals.items():
        ratio = sizes["kept"] / sizes["image_and_grid"]
        console.print(
            f"{size}: reverse mode keeps {sizes['kept'] / 1e6:.1f} MB, "
            f"{ratio:.2f} times image and grid ({sizes['image_and_grid'] / 1e6:.1f} MB)."
        )
    if options.out:
        results = {"backend": options.backend, "peaks": rows, "residuals": residuals}
        save(options.out, results)


if __name__ == "__main__":
    main()
