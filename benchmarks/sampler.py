"""How long does sampling through an affine map take, here and elsewhere?

    python benchmarks/sampler.py
    python benchmarks/sampler.py --sizes 64,128,128,3 --passes theta --peers torch
    python benchmarks/sampler.py --peers previous --previous ../another/checkout

theta -> affine_grid -> grid_sample, bilinear or as a size says, zeros outside,
``align_corners=False``: the forward pass; value and gradient of ``<V, cotangent>`` for theta, and
for theta and image; and one call on 4 x 4 pixels. The peer ``gather`` is this library without its
compiled kernels, ``previous`` another checkout of it.
"""

import argparse
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from checkout import load_checkout
from drawing import draw_cells
from peers import PASSES, PEERS, CannotDo, Job, Peer, jax_peer, job, ours
from rich.console import Console
from rich.table import Table
from timing import Competitor, Timing, alternate, cores, geometric_mean, milliseconds, save, verdict

import stn_jax as stn
from train.run.revision import git_revision

SIZES = (
    "256,28,28,1",
    "256,60,60,1:28,28",
    "64,128,128,3",
    "32,56,56,64",
    "8,224,224,3",
    "2,512,512,16",
    "2,96,96,96,1",
    "2,48,48,48,16",
    "64,64,64,3/bicubic",
    "2,48,48,48,1/bicubic",
)
TOLERANCE = {"forward": 1e-5, "theta": 1e-2, "both": 1e-2}
"""Allowed norm of a difference, relative to the norm. Most gradients agree to 1e-5, but a point on
a pixel centre may be rounded to either side of it, where the derivatives differ."""


# --- comparison and timing -----------------------------------------------------------------------


def difference(peer: Peer, reference: Peer, job: Job) -> float:
    """Returns the largest relative difference of the results, by norms, from the reference."""
    if peer.interior:
        grid = np.asarray(stn.affine_grid(job.theta, job.shape))
        width = np.array(job.spatial[::-1])
        inside = np.all(np.abs(grid) * width < width - 1, axis=-1, keepdims=True)
        job = dataclasses.replace(job, cotangent=job.cotangent * inside)
    worst = 0.0
    for expected, found in zip(reference.results(job), peer.results(job), strict=True):
        if job.pass_ == "forward" and peer.interior:
            expected, found = expected * inside, found * inside
        if expected.shape != found.shape:
            raise AssertionError(
                f"{job.size}: results have shapes {found.shape} and {expected.shape}."
            )
        worst = max(worst, float(np.linalg.norm(expected - found) / np.linalg.norm(expected)))
    return worst


def measure(
    job: Job, peers: Mapping[str, Callable[[Job], Peer]], backend: str, repeats: int
) -> dict[str, Any]:
    """Compares the results of all peers, then times those that agree, in turns."""
    entries, missing = {"stn_jax": jax_peer(job, ours(job.mode, backend))}, {}
    differences: dict[str, float] = {}
    for name, make_peer in peers.items():
        try:
            peer = make_peer(job)
        except (CannotDo, ImportError) as error:
            missing[name] = str(error)
            continue
        differences[name] = difference(peer, entries["stn_jax"], job)
        if differences[name] <= max(peer.tolerance, TOLERANCE[job.pass_]):
            entries[name] = peer
        else:
            missing[name] = f"differs by {differences[name]:.1e} at {job.size}, {job.pass_}"
    competitors = {
        (name, variant): competitor
        for name, entry in entries.items()
        for variant, competitor in entry.competitors.items()
    }
    timings = alternate(competitors, repeats=repeats)
    variants = {
        name: {variant: timing for (owner, variant), timing in timings.items() if owner == name}
        for name in entries
    }
    best = {
        name: min(of_peer.values(), key=lambda timing: timing.median)
        for name, of_peer in variants.items()
    }
    return {
        "size": job.size,
        "pass": job.pass_,
        "timings": best,
        "variants": {name: of_peer for name, of_peer in variants.items() if len(of_peer) > 1},
        "differences": differences,
        "missing": missing,
    }


def measure_bandwidth(size: int, repeats: int) -> float:
    """Returns bytes read and written per second by a copy of ``size`` bytes on the device.

    On a CPU all cores copy into memory that is there before: XLA's results are allocated for each
    call, and the time would be that of page faults.
    """
    if jax.default_backend() == "cpu":
        pairs = [np.ones((2, size // 4 // cores()), np.float32) for _ in range(cores())]
        with ThreadPoolExecutor(cores()) as pool:

            def copy() -> None:
                list(pool.map(lambda pair: np.copyto(pair[1], pair[0]), pairs))

            timing = alternate({"copy": Competitor(copy)}, repeats=repeats)["copy"]
    else:
        source = jnp.ones(size // 4, jnp.float32)
        negate = jax.jit(jnp.negative)  # XLA would elide a plain copy
        timing = alternate({"copy": Competitor(lambda: negate(source))}, repeats=repeats)["copy"]
    return 2 * size / timing.median


def least_bytes(cell: Mapping[str, Any]) -> int:
    """Returns the bytes of image, grid and output, which a forward pass must move at least."""
    inputs = job(cell["size"], "forward")
    grid = inputs.cotangent[..., 0].size * len(inputs.shape) * inputs.image.itemsize
    return inputs.image.nbytes + grid + inputs.cotangent.nbytes


def measure_dispatch(repeats: int) -> dict[str, Timing]:
    """Times one call on 4 x 4 pixels, which measures the overhead of a call."""
    random = np.random.default_rng(0)
    image = random.standard_normal((1, 4, 4, 1), dtype=np.float32)
    grid = random.uniform(-1, 1, (1, 4, 4, 2)).astype(np.float32)
    arrays = jax.device_put((image, grid))

    def loss(image: jax.Array, grid: jax.Array) -> jax.Array:
        return jnp.sum(stn.grid_sample(image, grid))

    jitted, gradients = jax.jit(stn.grid_sample), jax.jit(jax.grad(loss, (0, 1)))
    competitors = {
        "stn_jax, eager": Competitor(lambda: stn.grid_sample(*arrays)),
        "stn_jax, jitted": Competitor(lambda: jitted(*arrays)),
        "stn_jax, jitted, both gradients": Competitor(lambda: gradients(*arrays)),
    }
    try:
        import torch
    except ImportError:
        return alternate(competitors, repeats=repeats)
    planes, points = torch.from_numpy(image).movedim(-1, 1), torch.from_numpy(grid)
    leaves = [planes.clone().requires_grad_(), points.clone().requires_grad_()]

    def theirs(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.grid_sample(image, grid, align_corners=False)

    def forward() -> torch.Tensor:
        with torch.inference_mode():
            return theirs(planes, points)

    single_thread = functools.partial(torch.set_num_threads, 1)
    competitors["torch"] = Competitor(forward, single_thread)
    competitors["torch, both gradients"] = Competitor(
        lambda: torch.autograd.grad(theirs(*leaves).sum(), leaves), single_thread
    )
    return alternate(competitors, repeats=repeats)


# --- tables --------------------------------------------------------------------------------------


def print_cells(console: Console, cells: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """Prints a table and the geometric means for each pass, and a summary for each peer."""
    for pass_, title in PASSES.items():
        rows = [cell for cell in cells if cell["pass"] == pass_]
        if not rows:
            continue
        table = Table(
            title=f"{title}: milliseconds, and time relative to stn_jax", show_footer=True
        )
        table.add_column("N,H,W,C", footer="geometric mean")
        table.add_column("stn_jax", justify="right")
        for name in peers:
            table.add_column(name, footer=_summary(rows, name), justify="right")
        for cell in rows:
            timing = cell["timings"]["stn_jax"]
            columns = [
                milliseconds(theirs) + "\n" + verdict(timing, theirs).markup
                if (theirs := cell["timings"].get(name))
                else ("[bold red]DIFFERS[/]" if name in cell["differences"] else "-")
                for name in peers
            ]
            table.add_row(cell["size"], milliseconds(timing), *columns)
        console.print(table)
    for name, why in dict.fromkeys(pair for cell in cells for pair in cell["missing"].items()):
        console.print(f"{name}: {why}; not timed.", style="dim")
    for name in peers:
        if ratios := _ratios(cells, name):
            won = sum(ratio >= 1 for ratio in ratios)
            console.print(
                f"{name}: {geometric_mean(ratios):.2f} times the time of stn_jax (geometric mean), "
                f"{min(ratios):.2f} at worst; not slower in {won} of {len(ratios)} cells."
            )


def print_bandwidth(console: Console, cells: Sequence[dict[str, Any]], bandwidth: float) -> None:
    """Prints the speed of the forward pass relative to a copy."""
    console.print(
        f"A copy moves {bandwidth / 1e9:.0f} GB/s. Relative to it, with each byte moved once:"
    )
    for cell in cells:
        if cell["pass"] == "forward":
            rates = (
                f"{name} {least_bytes(cell) / timing.median / bandwidth:.0%}"
                for name, timing in cell["timings"].items()
            )
            console.print(f"  {cell['size']}: {', '.join(rates)}")


def print_dispatch(console: Console, timings: Mapping[str, Timing]) -> None:
    """Prints the microseconds of a call on 4 x 4 pixels."""
    table = Table(title="one image of 4 x 4 pixels, grid_sample alone: microseconds")
    table.add_column("call")
    table.add_column("", justify="right")
    for name, timing in timings.items():
        table.add_row(name, f"{timing.median * 1e6:.1f} ± {(timing.high - timing.low) * 5e5:.1f}")
    console.print(table)


def _ratios(cells: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [
        cell["timings"][name].median / cell["timings"]["stn_jax"].median
        for cell in cells
        if name in cell["timings"]
    ]


def _summary(cells: Sequence[dict[str, Any]], name: str) -> str:
    ratios = _ratios(cells, name)
    return f"{geometric_mean(ratios):.2f}x" if ratios else "-"


def main(arguments: Sequence[str] | None = None) -> None:
    """Times the cells given on the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=SIZES,
        metavar="N,H,W,C[:H,W][/MODE]",
        help="shape of the image, of the output if it differs, and the mode; default: %(default)s",
    )
    passes = [*PASSES, "dispatch"]
    parser.add_argument("--passes", nargs="+", choices=passes, default=passes)
    parser.add_argument("--peers", nargs="*", choices=[*PEERS, "previous"], default=list(PEERS))
    parser.add_argument(
        "--previous", type=Path, metavar="FOLDER", help="checkout for the peer `previous`"
    )
    parser.add_argument("--repeats", type=int, default=15, help="turns for each competitor")
    parser.add_argument("--backend", default="auto", help="backend of stn_jax")
    parser.add_argument(
        "--bandwidth",
        type=int,
        metavar="BYTES",
        default=2**30,
        help="compare with a copy of this size; default: 1 GiB",
    )
    parser.add_argument("--out", type=Path, help="where to write JSON, and a plot beside it")
    options = parser.parse_args(arguments)

    # Leave memory for PyTorch on the same GPU; JAX reads this when it initialises its backend.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    peers = {name: PEERS[name] for name in options.peers if name in PEERS}
    if "previous" in options.peers:
        if options.previous is None:
            parser.error("the peer previous needs --previous FOLDER, another checkout")
        previous = load_checkout(options.previous)
        peers["previous"] = lambda job: jax_peer(job, ours(job.mode, options.backend, previous))

    console, cells = Console(width=max(Console().width, 120)), []
    for pass_ in filter(PASSES.get, options.passes):
        for size in options.sizes:
            with console.status(f"{size}, {PASSES[pass_]}"):
                cells.append(measure(job(size, pass_), peers, options.backend, options.repeats))
    print_cells(console, cells, options.peers)
    results: dict[str, Any] = {"backend": options.backend, "cells": cells}
    if options.previous:
        results["previous_git_revision"] = git_revision(options.previous)
    if options.bandwidth:
        results["bandwidth"] = measure_bandwidth(options.bandwidth, options.repeats)
        print_bandwidth(console, cells, results["bandwidth"])
    if "dispatch" in options.passes:
        results["dispatch"] = measure_dispatch(options.repeats)
        print_dispatch(console, results["dispatch"])
    if options.out:
        save(options.out, results)
        if cells:
            draw_cells(cells, options.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
