"""How long does sampling through an affine map take, here and elsewhere?

    python benchmarks/sampler.py
    python benchmarks/sampler.py --sizes 64,128,128,3 --passes theta --peers torch

theta -> affine_grid -> grid_sample, bilinear, zeros outside, ``align_corners=False``: forward;
value and gradient for theta, and for theta and image, of ``<V, cotangent>``; and one call on 4 x 4
pixels.
"""

import argparse
import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from drawing import draw_cells
from rich.console import Console
from rich.table import Table
from timing import (
    Competitor,
    Timing,
    alternate,
    cores,
    geometric_mean,
    milliseconds,
    save,
    verdict,
)

import stn_jax as stn
from stn_jax.sampling.grid_sample import BACKENDS

SIZES = (
    "256,28,28,1",
    "256,60,60,1:28,28",
    "64,128,128,3",
    "32,56,56,64",
    "8,224,224,3",
    "2,512,512,16",
    "2,96,96,96,1",
)
PASSES = {
    "forward": "forward",
    "theta": "value and gradient for theta",
    "both": "value and gradients for theta and image",
}
TOLERANCE = {"forward": 1e-5, "theta": 1e-2, "both": 1e-2}
"""What is equal: the norm of a difference over the norm. Most gradients agree to 1e-5; but a point
that lies on a pixel's centre may be rounded to either side of it, where the derivative differs."""


@dataclass(frozen=True)
class Job:
    """One cell: arrays channels-last, and which pass over them."""

    size: str
    pass_: str
    image: np.ndarray
    theta: np.ndarray
    cotangent: np.ndarray

    @property
    def spatial(self) -> tuple[int, ...]:
        """Spatial shape of the image."""
        return self.image.shape[1:-1]

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the output."""
        return self.cotangent.shape[1:-1]


@dataclass(frozen=True)
class Peer:
    """A library that can do a job.

    Attributes:
        competitors: its ways to do the job, of which the quickest stands for it.
        results: what it computes, as channels-last arrays: ``V``; or value and gradients.
        tolerance: what is equal, where that is more than `TOLERANCE`.
        interior: whether it is equal only at points between the centres of the border pixels.
    """

    competitors: dict[str, Competitor]
    results: Callable[[Job], Sequence[np.ndarray]]
    tolerance: float = 0.0
    interior: bool = False


class CannotDo(Exception):
    """A library has nothing for a job; the text says what it lacks."""


def job(size: str, pass_: str, seed: int = 0) -> Job:
    """Draws a job; maps turn by up to 0.5 rad, scale by 0.7 to 1.3, shift by up to 0.1."""
    source, _, target = size.partition(":")
    batch, *spatial, channels = map(int, source.split(","))
    shape = [int(n) for n in target.split(",")] if target else spatial
    random, n = np.random.default_rng(seed), len(spatial)
    angle, scale = random.uniform(-0.5, 0.5, batch), random.uniform(0.7, 1.3, (batch, n))
    turn = np.tile(np.eye(n), (batch, 1, 1))
    turn[:, :2, :2] = np.moveaxis(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], -1, 0
    )
    if n == 3:  # about y too, so that no axis stays by itself
        tilt = np.tile(np.eye(3), (batch, 1, 1))
        tilt[:, ::2, ::2] = turn[::-1, :2, :2]
        turn = turn @ tilt
    shift = random.uniform(-0.1, 0.1, (batch, n, 1))
    theta = np.concatenate([turn * scale[:, None], shift], axis=-1)
    return Job(
        size,
        pass_,
        image=smooth(random, (batch, *spatial, channels)),
        theta=theta.astype(np.float32),
        cotangent=random.standard_normal((batch, *shape, channels), dtype=np.float32),
    )


def smooth(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Draws images of a wave along each axis, another for each channel, that fades at the border.

    A bilinear derivative jumps at pixel centres by what the image bends there. Libraries round a
    coordinate to one side or the other; of smooth images they still tell the same derivative.
    """
    batch, *spatial, channels = shape
    image = np.ones(shape, np.float32)
    for axis, size in enumerate(spatial):
        place = (np.arange(size, dtype=np.float32) + 0.5) / size
        place = place.reshape(-1, *[1] * (len(spatial) - axis))
        each = (batch, *[1] * len(spatial), channels)
        waves, phase = (random.uniform(0, high, each).astype(np.float32) for high in (2, 2 * np.pi))
        image *= np.sin(np.pi * place) * np.cos(2 * np.pi * waves * place + phase)
    return image


# --- the libraries -------------------------------------------------------------------------------


def jax_function(job: Job, sample: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Returns the pass of a job over ``sample(theta, image, shape)``, jitted."""

    def loss(theta: jax.Array, image: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jnp.vdot(sample(theta, image, job.shape), cotangent, precision="highest")

    if job.pass_ == "forward":
        return jax.jit(lambda theta, image, cotangent: sample(theta, image, job.shape))
    return jax.jit(jax.value_and_grad(loss, argnums=0 if job.pass_ == "theta" else (0, 1)))


def jax_peer(job: Job, sample: Callable[..., jax.Array], **options: Any) -> Peer:
    """Makes a peer of ``sample(theta, image, shape)``."""
    function = jax_function(job, sample)
    arrays = jax.device_put((job.theta, job.image, job.cotangent))

    def results(job: Job) -> list[np.ndarray]:
        leaves = jax.tree.leaves(function(job.theta, job.image, job.cotangent))
        return [np.asarray(leaf) for leaf in leaves]

    return Peer({"": Competitor(lambda: function(*arrays))}, results, **options)


def ours(backend: str = "auto") -> Callable[..., jax.Array]:
    """Returns ``sample(theta, image, shape)`` of stn_jax."""

    def sample(theta: jax.Array, image: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        return stn.grid_sample(image, stn.affine_grid(theta, shape), backend=backend)

    return sample


def compiled(job: Job, backend: str) -> tuple[jax.stages.Compiled, tuple[jax.Array, ...]]:
    """Compiles the pass of a job, and returns it with its arguments."""
    arrays = jax.device_put((job.theta, job.image, job.cotangent))
    return jax_function(job, ours(backend)).lower(*arrays).compile(), arrays


def by_channel(read: Callable[[jax.Array, list[jax.Array]], jax.Array]) -> Callable[..., jax.Array]:
    """Makes ``sample(theta, image, shape)`` of what reads one array at pixel coordinates."""

    def sample(theta: jax.Array, image: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        def one(image: jax.Array, grid: jax.Array) -> jax.Array:
            spatial = image.shape[:-1]
            axes = [((grid[..., ~k] + 1) * size - 1) / 2 for k, size in enumerate(spatial)]
            return jax.vmap(lambda channel: read(channel, axes), -1, -1)(image)

        return jax.vmap(one)(image, stn.affine_grid(theta, shape))

    return sample


def map_coordinates(job: Job) -> Peer:
    """``jax.scipy.ndimage.map_coordinates``, vmapped over batch and channels; our grid."""
    read = functools.partial(jax.scipy.ndimage.map_coordinates, order=1, mode="constant")
    return jax_peer(job, by_channel(read))


def dm_pix(job: Job) -> Peer:
    """``dm_pix``'s interpolation, vmapped over batch and channels; our grid.

    By design it reads nothing within half a pixel of the border, and its derivative is 0 at pixel
    centres.
    """
    import dm_pix

    def read(image: jax.Array, axes: list[jax.Array]) -> jax.Array:
        return dm_pix.flat_nd_linear_interpolate_constant(image, jnp.stack(axes))

    return jax_peer(job, by_channel(read), interior=True, tolerance=0.02)


def torch_peer(
    job: Job,
    sample: Callable[[Any, Any], Any],
    parameters: np.ndarray,
    theta_gradient: Callable[[np.ndarray], np.ndarray] = lambda gradient: gradient,
) -> Peer:
    """Makes a peer of ``sample(parameters, image)`` of PyTorch, channels first, its own layout.

    The cotangent is given to ``autograd.grad`` as it is, which spares PyTorch a multiplication.
    """
    import torch

    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise CannotDo("JAX has a GPU here and this PyTorch has not")
    device = "cuda" if on_gpu else "cpu"

    def put(array: np.ndarray, grad: bool = False, channels: bool = True) -> Any:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 1)) if channels else array
        return torch.from_numpy(array).to(device).requires_grad_(grad)

    params = put(parameters, job.pass_ != "forward", channels=False)
    image = put(job.image, job.pass_ == "both")
    leaves = {"forward": [], "theta": [params], "both": [params, image]}[job.pass_]

    def work(cotangent: Any) -> list[Any]:
        if not leaves:
            with torch.inference_mode():
                done = [sample(params, image)]
        else:
            values = sample(params, image)
            gradients = torch.autograd.grad(values, leaves, cotangent)
            done = [torch.dot(values.detach().view(-1), cotangent.view(-1)), *gradients]
        if on_gpu:
            torch.cuda.synchronize()
        return done

    def results(job: Job) -> list[np.ndarray]:
        arrays = [x.cpu().numpy() for x in work(put(job.cotangent))]
        if job.pass_ == "forward":
            return [np.moveaxis(arrays[0], 1, -1)]
        value, gradient, *image_gradient = arrays
        return [value, theta_gradient(gradient), *(np.moveaxis(g, 1, -1) for g in image_gradient)]

    cotangent = put(job.cotangent)
    threads = [1] if on_gpu else sorted({1, cores()})
    return Peer(
        {
            f"{count} threads": Competitor(
                functools.partial(work, cotangent), functools.partial(torch.set_num_threads, count)
            )
            for count in threads
        },
        results,
    )


def torch(job: Job) -> Peer:
    """``torch.nn.functional``: ``affine_grid`` and ``grid_sample``."""
    from torch.nn import functional

    size = (len(job.theta), job.image.shape[-1], *job.shape)

    def sample(theta: Any, image: Any) -> Any:
        grid = functional.affine_grid(theta, size, align_corners=False)
        return functional.grid_sample(image, grid, align_corners=False)

    return torch_peer(job, sample, job.theta)


def kornia(job: Job) -> Peer:
    """``kornia.geometry.warp_affine``; its parameter is the pixel matrix source -> target."""
    from kornia.geometry import transform

    if len(job.shape) != 2:
        raise CannotDo("kornia.geometry.warp_affine3d has no consistent align_corners=False")

    def pixel_matrix(theta: jax.Array) -> jax.Array:
        return stn.invert(stn.denormalize_matrix(theta, job.spatial, job.shape))

    def theta_gradient(gradient: np.ndarray) -> np.ndarray:
        _, pull_back = jax.vjp(pixel_matrix, job.theta)
        return np.asarray(pull_back(gradient)[0])

    def sample(matrix: Any, image: Any) -> Any:
        return transform.warp_affine(image, matrix, job.shape, align_corners=False)

    return torch_peer(job, sample, np.array(pixel_matrix(job.theta)), theta_gradient)


def opencv(job: Job) -> Peer:
    """``cv2.remap`` image by image, maps by NumPy; weights of 1/32 above 4 channels."""
    import cv2

    if job.pass_ != "forward" or len(job.shape) != 2 or jax.default_backend() == "gpu":
        raise CannotDo("cv2.remap is for images on the CPU, and has no gradient")
    matrices = np.asarray(stn.denormalize_matrix(job.theta, job.spatial, job.shape))
    y, x = (np.arange(n, dtype=np.float32) for n in job.shape)
    y = y[:, None]

    def remap(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        maps = (a * x + (b * y + c) for a, b, c in matrix)
        return cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)

    def work(images: np.ndarray) -> np.ndarray:
        return np.stack([remap(*pair) for pair in zip(images, matrices, strict=True)])

    def results(job: Job) -> list[np.ndarray]:
        return [work(job.image).reshape(job.cotangent.shape)]

    prepare = functools.partial(cv2.setNumThreads, cores())
    return Peer({"": Competitor(lambda: work(job.image), prepare)}, results, tolerance=0.03)


PEERS: dict[str, Callable[[Job], Peer]] = {
    "torch": torch,
    "map_coordinates": map_coordinates,
    "dm_pix": dm_pix,
    "kornia": kornia,
    "opencv": opencv,
}


# --- equal, then timed ---------------------------------------------------------------------------


def difference(peer: Peer, reference: Peer, job: Job) -> float:
    """Returns the norm of the difference from the reference over its norm, of the worst result."""
    if peer.interior:
        grid = np.asarray(stn.affine_grid(job.theta, job.shape))
        width = np.array(job.spatial[::-1])
        inside = np.all(np.abs(grid) * width < width - 1, axis=-1, keepdims=True)
        job = dataclasses.replace(job, cotangent=job.cotangent * inside)
    worst = 0.0
    for ours, theirs in zip(reference.results(job), peer.results(job), strict=True):
        if job.pass_ == "forward" and peer.interior:
            ours, theirs = ours * inside, theirs * inside
        if ours.shape != theirs.shape:
            raise AssertionError(f"The results have shapes {theirs.shape} and {ours.shape}.")
        worst = max(worst, float(np.linalg.norm(ours - theirs) / np.linalg.norm(ours)))
    return worst


def measure(job: Job, peers: Sequence[str], backend: str, repeats: int) -> dict[str, Any]:
    """Checks who computes the same, then times those in turns."""
    entries, missing = {"stn_jax": jax_peer(job, ours(backend))}, {}
    differences: dict[str, float] = {}
    for name in peers:
        try:
            peer = PEERS[name](job)
        except (CannotDo, ImportError) as error:
            missing[name] = str(error)
            continue
        differences[name] = difference(peer, entries["stn_jax"], job)
        if differences[name] <= max(peer.tolerance, TOLERANCE[job.pass_]):
            entries[name] = peer
        else:
            missing[name] = f"differs by {differences[name]:.1e} at {job.size}, {job.pass_}"
    competitors = {
        (name, way): competitor
        for name, entry in entries.items()
        for way, competitor in entry.competitors.items()
    }
    timings = alternate(competitors, repeats=repeats)
    found = {
        name: {way: timing for (owner, way), timing in timings.items() if owner == name}
        for name in entries
    }
    best = {name: min(ways.values(), key=lambda way: way.median) for name, ways in found.items()}
    return {
        "size": job.size,
        "pass": job.pass_,
        "timings": best,
        "ways": {name: ways for name, ways in found.items() if len(ways) > 1},
        "differences": differences,
        "missing": missing,
    }


def measure_bandwidth(size: int, repeats: int) -> float:
    """Returns the bytes a second, read and written, of a copy of ``size`` bytes on the device."""
    source = jnp.ones(size // 4, jnp.float32)
    negate = jax.jit(jnp.negative)  # an identity would not be carried out
    timing = alternate({"copy": Competitor(lambda: negate(source))}, repeats=repeats)["copy"]
    return 2 * source.nbytes / timing.median


def least_bytes(cell: Mapping[str, Any]) -> int:
    """Returns what a forward pass must move: image and grid read once, output written once."""
    task = job(cell["size"], "forward")
    grid = task.cotangent[..., 0].size * len(task.shape) * task.image.itemsize
    return task.image.nbytes + grid + task.cotangent.nbytes


def measure_dispatch(repeats: int) -> dict[str, Timing]:
    """Times one call on 4 x 4 pixels, where all that counts is how a library starts to work."""
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

    one = functools.partial(torch.set_num_threads, 1)
    competitors["torch"] = Competitor(forward, one)
    competitors["torch, both gradients"] = Competitor(
        lambda: torch.autograd.grad(theirs(*leaves).sum(), leaves), one
    )
    return alternate(competitors, repeats=repeats)


# --- told ----------------------------------------------------------------------------------------


def print_cells(console: Console, cells: Sequence[dict[str, Any]], peers: Sequence[str]) -> None:
    """Prints a table for each pass, its geometric means, and how many cells are not lost."""
    for pass_, title in PASSES.items():
        rows = [cell for cell in cells if cell["pass"] == pass_]
        if not rows:
            continue
        table = Table(
            title=f"{title}: milliseconds, and times as long as stn_jax", show_footer=True
        )
        table.add_column("N,H,W,C", footer="geometric mean")
        table.add_column("stn_jax", justify="right")
        for name in peers:
            table.add_column(name, footer=_summary(rows, name), justify="right")
        for cell in rows:
            ours = cell["timings"]["stn_jax"]
            columns = [
                milliseconds(theirs) + "\n" + verdict(ours, theirs).markup
                if (theirs := cell["timings"].get(name))
                else ("[bold red]DIFFERS[/]" if name in cell["differences"] else "-")
                for name in peers
            ]
            table.add_row(cell["size"], milliseconds(ours), *columns)
        console.print(table)
    for name, why in dict.fromkeys(pair for cell in cells for pair in cell["missing"].items()):
        console.print(f"{name}: {why}; not timed.", style="dim")
    for name in peers:
        if ratios := _ratios(cells, name):
            kept = sum(ratio >= 1 for ratio in ratios)
            console.print(
                f"{name}: {geometric_mean(ratios):.2f} times as long over {len(ratios)} cells; "
                f"stn_jax is not slower in {kept} of them."
            )


def print_bandwidth(console: Console, cells: Sequence[dict[str, Any]], bandwidth: float) -> None:
    """Prints what part of the copy's speed the forward pass reaches."""
    console.print(
        f"A copy moves {bandwidth / 1e9:.0f} GB/s; the forward pass, if each byte moved once:"
    )
    for cell in cells:
        if cell["pass"] == "forward":
            rates = (
                f"{name} {least_bytes(cell) / timing.median / bandwidth:.0%}"
                for name, timing in cell["timings"].items()
            )
            console.print(f"  {cell['size']}: {', '.join(rates)}")


def print_dispatch(console: Console, timings: Mapping[str, Timing]) -> None:
    """Prints the microseconds of a call that has next to nothing to do."""
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
    """Runs the cells that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--sizes",
        nargs="+",
        default=SIZES,
        metavar="N,H,W,C[:H,W]",
        help="image, and output where it has another shape; default: %(default)s",
    )
    passes = [*PASSES, "dispatch"]
    parser.add_argument("--passes", nargs="+", choices=passes, default=passes)
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--repeats", type=int, default=15, help="turns for each competitor")
    parser.add_argument("--backend", choices=("auto", *BACKENDS), default="auto")
    parser.add_argument(
        "--bandwidth",
        type=int,
        metavar="BYTES",
        help="compare with a copy of so many; default: of 1 GiB, where there is a GPU",
    )
    parser.add_argument("--out", type=Path, help="where to write JSON, and a plot beside it")
    options = parser.parse_args(arguments)

    # PyTorch needs room on the same GPU; read when JAX first looks for one.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    console, cells = Console(width=max(Console().width, 120)), []
    for pass_ in filter(PASSES.get, options.passes):
        for size in options.sizes:
            with console.status(f"{size}, {PASSES[pass_]}"):
                cells.append(
                    measure(job(size, pass_), options.peers, options.backend, options.repeats)
                )
    print_cells(console, cells, options.peers)
    results: dict[str, Any] = {"backend": options.backend, "cells": cells}
    if jax.default_backend() != "cpu" or options.bandwidth:
        results["bandwidth"] = measure_bandwidth(options.bandwidth or 2**30, options.repeats)
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
