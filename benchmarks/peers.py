"""The libraries to compare, and their jobs: theta -> grid -> sample, with gradients."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import Competitor, cores

import stn_jax as stn

PASSES = {
    "forward": "forward",
    "theta": "value and gradient for theta",
    "both": "value and gradients for theta and image",
}


@dataclass(frozen=True)
class Job:
    """The inputs of one cell, channels-last, and the pass to time."""

    size: str
    pass_: str
    image: np.ndarray
    theta: np.ndarray
    cotangent: np.ndarray
    mode: str = "bilinear"

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
        competitors: variants of its code, of which the fastest counts.
        results: function that returns ``V``, or value and gradients, as channels-last arrays.
        tolerance: relative difference that is allowed, if larger than the usual one.
        interior: whether to compare only points between the centres of the border pixels.
    """

    competitors: dict[str, Competitor]
    results: Callable[[Job], Sequence[np.ndarray]]
    tolerance: float = 0.0
    interior: bool = False


class CannotDo(Exception):
    """A library does not support a job; the message says what is missing."""


def job(size: str, pass_: str, seed: int = 0) -> Job:
    """Draws a job with rotations up to 0.5 rad, scales from 0.7 to 1.3 and shifts up to 0.1.

    Its size is ``N,H,W,C``, ``N,H,W,C:H,W`` if the output has another, and either ``/bicubic``.
    """
    sizes, _, mode = size.partition("/")
    source, _, target = sizes.partition(":")
    batch, *spatial, channels = map(int, source.split(","))
    shape = [int(n) for n in target.split(",")] if target else spatial
    random, n = np.random.default_rng(seed), len(spatial)
    angle, scale = random.uniform(-0.5, 0.5, batch), random.uniform(0.7, 1.3, (batch, n))
    rotation = np.tile(np.eye(n), (batch, 1, 1))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation[:, :2, :2] = np.moveaxis(np.array([[cos, -sin], [sin, cos]]), -1, 0)
    if n == 3:  # rotate about y too, so that all axes mix
        tilt = np.tile(np.eye(3), (batch, 1, 1))
        tilt[:, ::2, ::2] = rotation[::-1, :2, :2]
        rotation = rotation @ tilt
    shift = random.uniform(-0.1, 0.1, (batch, n, 1))
    theta = np.concatenate([rotation * scale[:, None], shift], axis=-1)
    return Job(
        size,
        pass_,
        image=smooth(random, (batch, *spatial, channels)),
        theta=theta.astype(np.float32),
        cotangent=random.standard_normal((batch, *shape, channels), dtype=np.float32),
        mode=mode or "bilinear",
    )


def smooth(random: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Draws images of a wave along each axis, different for each channel, that fade at the border.

    A bilinear derivative jumps at pixel centres, and libraries round coordinates to different
    sides of them. For smooth images the jumps are small and the derivatives still agree.
    """
    batch, *spatial, channels = shape
    image = np.ones(shape, np.float32)
    for axis, size in enumerate(spatial):
        position = (np.arange(size, dtype=np.float32) + 0.5) / size
        position = position.reshape(-1, *[1] * (len(spatial) - axis))
        each = (batch, *[1] * len(spatial), channels)
        waves, phase = (random.uniform(0, high, each).astype(np.float32) for high in (2, 2 * np.pi))
        image *= np.sin(np.pi * position) * np.cos(2 * np.pi * waves * position + phase)
    return image


def jax_function(job: Job, sample: Callable[..., jax.Array]) -> Callable[..., Any]:
    """Returns the jitted pass of a job through ``sample(theta, image, shape)``."""

    def loss(theta: jax.Array, image: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jnp.vdot(sample(theta, image, job.shape), cotangent, precision="highest")

    if job.pass_ == "forward":
        return jax.jit(lambda theta, image, cotangent: sample(theta, image, job.shape))
    return jax.jit(jax.value_and_grad(loss, argnums=0 if job.pass_ == "theta" else (0, 1)))


def jax_peer(job: Job, sample: Callable[..., jax.Array], **options: Any) -> Peer:
    """Makes a peer from ``sample(theta, image, shape)``."""
    function = jax_function(job, sample)
    arrays = jax.device_put((job.theta, job.image, job.cotangent))

    def results(job: Job) -> list[np.ndarray]:
        leaves = jax.tree.leaves(function(job.theta, job.image, job.cotangent))
        return [np.asarray(leaf) for leaf in leaves]

    return Peer({"": Competitor(lambda: function(*arrays))}, results, **options)


def ours(mode: str, backend: str = "auto", library: ModuleType = stn) -> Callable[..., jax.Array]:
    """Returns ``sample(theta, image, shape)`` of stn_jax, or of another checkout of it."""

    def sample(theta: jax.Array, image: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        grid = library.affine_grid(theta, shape)
        values: jax.Array = library.grid_sample(image, grid, mode=mode, backend=backend)
        return values

    return sample


def gather(job: Job) -> Peer:
    """This library without its kernels: XLA's gathers."""
    return jax_peer(job, ours(job.mode, "gather"))


def need_bilinear(job: Job, name: str) -> None:
    """Refuses other modes for a library that has none of them."""
    if job.mode != "bilinear":
        raise CannotDo(f"{name} has no {job.mode} mode here")


def compiled(job: Job, backend: str) -> tuple[jax.stages.Compiled, tuple[jax.Array, ...]]:
    """Compiles the pass of a job and returns it with its arguments."""
    arrays = jax.device_put((job.theta, job.image, job.cotangent))
    function: Any = jax_function(job, ours(job.mode, backend))
    return function.lower(*arrays).compile(), arrays


def by_channel(
    read: Callable[[jax.Array, list[jax.Array]], jax.Array],
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Makes ``sample(image, grid)`` from a function that samples one channel."""

    def sample_image(image: jax.Array, grid: jax.Array) -> jax.Array:
        spatial = image.shape[:-1]
        axes = [((grid[..., ~k] + 1) * size - 1) / 2 for k, size in enumerate(spatial)]
        return jax.vmap(lambda channel: read(channel, axes), -1, -1)(image)

    return jax.vmap(sample_image)


def with_affine_grid(
    sample: Callable[[jax.Array, jax.Array], jax.Array],
) -> Callable[..., jax.Array]:
    """Makes ``sample(theta, image, shape)`` from ``sample(image, grid)``."""
    return lambda theta, image, shape: sample(image, stn.affine_grid(theta, shape))


map_coordinates_at = by_channel(
    functools.partial(jax.scipy.ndimage.map_coordinates, order=1, mode="constant")
)
"""``jax.scipy.ndimage.map_coordinates``, vmapped over batch and channels: ``(image, grid)``."""


def map_coordinates(job: Job) -> Peer:
    """``jax.scipy.ndimage.map_coordinates`` on our grid, vmapped over batch and channels."""
    need_bilinear(job, "map_coordinates")
    return jax_peer(job, with_affine_grid(map_coordinates_at))


def dm_pix(job: Job) -> Peer:
    """``dm_pix``'s interpolation on our grid, vmapped over batch and channels.

    By design it is 0 within half a pixel of the border, and its derivative is 0 at pixel centres.
    """
    import dm_pix

    need_bilinear(job, "dm_pix")

    def read(image: jax.Array, axes: list[jax.Array]) -> jax.Array:
        values: jax.Array = dm_pix.flat_nd_linear_interpolate_constant(image, jnp.stack(axes))
        return values

    return jax_peer(job, with_affine_grid(by_channel(read)), interior=True, tolerance=0.02)


def torch_peer(
    job: Job,
    sample: Callable[[Any, Any], Any],
    parameters: np.ndarray,
    theta_gradient: Callable[[np.ndarray], np.ndarray] = lambda gradient: gradient,
) -> Peer:
    """Makes a peer from ``sample(parameters, image)`` in PyTorch, with channels first.

    ``autograd.grad`` gets the cotangent directly, which saves PyTorch a multiplication.
    """
    import torch

    on_gpu = jax.default_backend() == "gpu"
    if on_gpu and not torch.cuda.is_available():
        raise CannotDo("JAX has a GPU but this PyTorch has none")
    device = "cuda" if on_gpu else "cpu"

    def put(array: np.ndarray, grad: bool = False, channels: bool = True) -> Any:
        array = np.ascontiguousarray(np.moveaxis(array, -1, 1)) if channels else array
        return torch.from_numpy(array).to(device).requires_grad_(grad)

    params = put(parameters, job.pass_ != "forward", channels=False)
    image = put(job.image, job.pass_ == "both")
    leaves = {"forward": [], "theta": [params], "both": [params, image]}[job.pass_]

    def run(cotangent: Any) -> list[Any]:
        if not leaves:
            with torch.inference_mode():
                outputs = [sample(params, image)]
        else:
            values = sample(params, image)
            gradients = torch.autograd.grad(values, leaves, cotangent)
            outputs = [torch.dot(values.detach().view(-1), cotangent.view(-1)), *gradients]
        if on_gpu:
            torch.cuda.synchronize()
        return outputs

    def results(job: Job) -> list[np.ndarray]:
        arrays = [x.cpu().numpy() for x in run(put(job.cotangent))]
        if job.pass_ == "forward":
            return [np.moveaxis(arrays[0], 1, -1)]
        value, gradient, *image_gradient = arrays
        return [value, theta_gradient(gradient), *(np.moveaxis(g, 1, -1) for g in image_gradient)]

    cotangent = put(job.cotangent)
    threads = [1] if on_gpu else sorted({1, cores()})
    return Peer(
        {
            f"{count} threads": Competitor(
                functools.partial(run, cotangent), functools.partial(torch.set_num_threads, count)
            )
            for count in threads
        },
        results,
    )


def torch(job: Job) -> Peer:
    """``torch.nn.functional``: ``affine_grid`` and ``grid_sample``."""
    from torch.nn import functional

    size = [len(job.theta), job.image.shape[-1], *job.shape]
    if job.mode == "bicubic" and len(job.shape) == 3:
        raise CannotDo("PyTorch has no bicubic mode for volumes")

    def sample(theta: Any, image: Any) -> Any:
        grid = functional.affine_grid(theta, size, align_corners=False)
        return functional.grid_sample(image, grid, mode=job.mode, align_corners=False)

    return torch_peer(job, sample, job.theta)


def kornia(job: Job) -> Peer:
    """``kornia.geometry.warp_affine``; its parameter is the pixel matrix from source to target."""
    from kornia.geometry import transform

    need_bilinear(job, "kornia")
    if len(job.shape) != 2:
        raise CannotDo("kornia.geometry.warp_affine3d has no consistent align_corners=False")

    def pixel_matrix(theta: Any) -> jax.Array:
        return stn.invert(stn.denormalize_matrix(theta, job.spatial, job.shape))

    def theta_gradient(gradient: np.ndarray) -> np.ndarray:
        _, pull_back = jax.vjp(pixel_matrix, job.theta)
        return np.asarray(pull_back(gradient)[0])

    def sample(matrix: Any, image: Any) -> Any:
        return transform.warp_affine(image, matrix, job.shape, align_corners=False)

    return torch_peer(job, sample, np.array(pixel_matrix(job.theta)), theta_gradient)


def opencv(job: Job) -> Peer:
    """``cv2.remap`` image by image, with maps from NumPy; coarse weights above 4 channels."""
    import cv2

    need_bilinear(job, "opencv")
    if job.pass_ != "forward" or len(job.shape) != 2 or jax.default_backend() == "gpu":
        raise CannotDo("cv2.remap supports only images on a CPU, without gradients")
    matrices = np.asarray(stn.denormalize_matrix(job.theta, job.spatial, job.shape))
    y, x = (np.arange(n, dtype=np.float32) for n in job.shape)
    y = y[:, None]

    def remap(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        map_x, map_y = (a * x + (b * y + c) for a, b, c in matrix)
        border = cv2.BORDER_CONSTANT
        values: np.ndarray = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=border)
        return values

    def remap_all(images: np.ndarray) -> np.ndarray:
        return np.stack([remap(*pair) for pair in zip(images, matrices, strict=True)])

    def results(job: Job) -> list[np.ndarray]:
        return [remap_all(job.image).reshape(job.cotangent.shape)]

    prepare = functools.partial(cv2.setNumThreads, cores())
    return Peer({"": Competitor(lambda: remap_all(job.image), prepare)}, results, tolerance=0.03)


PEERS: dict[str, Callable[[Job], Peer]] = {
    "torch": torch,
    "gather": gather,
    "map_coordinates": map_coordinates,
    "dm_pix": dm_pix,
    "kornia": kornia,
    "opencv": opencv,
}
