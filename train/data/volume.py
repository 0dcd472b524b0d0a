"""One volume for registration: read from a NIfTI file, cropped to the brain, made smaller."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

import stn_jax as stn
from train.checks import check
from train.data.dataset import SPLITS, Arrays, DataError
from train.data.lazy import LazyArray

FILLED = 0.8
"""Share of the smaller volume's side that the brain fills at most; a warped one has room."""

DARK = 0.1
"""Brightness, relative to the 99th percentile, up to which a voxel is background."""


class Volumes(NamedTuple):
    """A volume, repeated for each example; what differs between examples is the warp.

    Attributes:
        name: name for display.
        splits: ``volumes``, uint8 ``(n, d, h, w, 1)``, and ``landmarks``, points in the brain,
            float32 ``(n, landmarks, 3)``, normalised (x, y, z).
        info: ``voxel_size`` in millimetres.
    """

    name: str
    splits: Mapping[str, Arrays]
    info: Mapping[str, Any]

    def describe(self) -> str:
        """Returns one line: how many warps each set has, and of what."""
        counts = {split: len(arrays["volumes"]) for split, arrays in self.splits.items()}
        listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
        shape = " x ".join(map(str, self.splits["train"]["volumes"].shape[1:-1]))
        return f"{self.name}: {listed} warps of {shape} voxels of {self.info['voxel_size']:.2g} mm"


@dataclass(frozen=True)
class BrainVolume:
    """A brain without its skull, such as the template MNI152; each example is a warp of it."""

    path: str = "mni152_t1_1mm.nii.gz"
    """A NIfTI file, .nii or .nii.gz."""
    shape: tuple[int, int, int] = (40, 48, 40)
    """Number of voxels along z, y and x to which the volume is reduced; they are cubes."""
    landmarks: int = 1000
    """Number of points in the brain whose distances are measured."""
    counts: tuple[int, int, int] = (1000, 100, 100)
    """Number of training, validation and test examples; those of training differ in each epoch."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "data", positive=("shape", "landmarks", "counts"))

    def build(self) -> Volumes:
        """Reads the volume.

        Raises:
            DataError: if there is no such file, or it holds no volume.
        """
        path = Path(os.path.expanduser(self.path))
        volume, voxel_size = reduce(*read_volume(path), self.shape)
        landmarks = choose_landmarks(volume, self.landmarks)
        splits = {
            split: {"volumes": _repeat(volume, count), "landmarks": _repeat(landmarks, count)}
            for split, count in zip(SPLITS, self.counts, strict=True)
        }
        return Volumes(path.name, splits, {"voxel_size": voxel_size})


def read_volume(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads a NIfTI file.

    Returns:
        The volume, float32 ``(d, h, w)``, x to the right, y to the front, z up; and the sides of a
        voxel along x, y and z, in millimetres.

    Raises:
        DataError: if there is no such file, or it is damaged or no volume.
    """
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise DataError(f"data.path={str(path)!r} needs nibabel: pip install nibabel") from error
    if not path.is_file():
        raise DataError(
            f"data.path={str(path)!r} does not exist; give a brain without its skull. The template "
            "MNI152 is in the package nilearn, "
            "nilearn/datasets/data/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz, and in FSL, "
            "$FSLDIR/data/standard/MNI152_T1_1mm_brain.nii.gz."
        )
    try:
        image = nibabel.as_closest_canonical(nibabel.load(path))
        volume = np.asarray(image.dataobj, np.float32)
    except Exception as error:  # nibabel's readers raise anything for damaged files
        raise DataError(f"{path} is damaged or no NIfTI file ({error}).") from error
    volume = volume.reshape(volume.shape[:3] if volume.shape[3:] == (1,) else volume.shape)
    if volume.ndim != 3:
        raise DataError(f"{path} has shape {volume.shape}; it must be one volume, (x, y, z).")
    if not np.isfinite(volume).all():
        raise DataError(f"{path} holds NaN or infinite values.")
    if volume.max() <= max(volume.min(), 0):
        raise DataError(f"{path} is empty: its values are from {volume.min()} to {volume.max()}.")
    return volume.T, np.asarray(image.header.get_zooms()[:3], np.float64)


def reduce(
    volume: np.ndarray, sides: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, float]:
    """Crops a volume to what is bright in it, and reduces it, anti-aliased, to a shape.

    Args:
        volume: ``(d, h, w)``.
        sides: sides of a voxel along x, y and z, in millimetres.
        shape: shape of the result.

    Returns:
        uint8 ``(*shape, 1)``, and the side of its voxels in millimetres.
    """
    white = np.percentile(volume[volume > 0], 99)
    bright = np.argwhere(volume > DARK * white)[:, ::-1]  # (x, y, z)
    low, high = bright.min(axis=0), bright.max(axis=0) + 1
    size, target = np.array(volume.shape[::-1]), np.array(shape[::-1])
    voxel = float(np.max((high - low) * sides / (FILLED * target)))
    reduced = stn.separable_sample(
        jnp.asarray(volume[..., None] / white, jnp.float32),
        jnp.asarray(voxel * target / (size * sides), jnp.float32),
        jnp.asarray((low + high) / size - 1, jnp.float32),
        shape,
    )
    return np.round(np.clip(reduced, 0, 1) * 255).astype(np.uint8), voxel


def choose_landmarks(volume: np.ndarray, count: int) -> np.ndarray:
    """Chooses points inside bright voxels, always the same ones.

    Args:
        volume: uint8 ``(d, h, w, 1)``.
        count: number of points.

    Returns:
        float32 ``(count, 3)``, normalised (x, y, z).
    """
    random = np.random.default_rng(0)
    inside = np.argwhere(volume[..., 0] > DARK * 255)[:, ::-1]
    points = inside[random.integers(len(inside), size=count)] + random.uniform(size=(count, 3))
    return (2 * points / volume.shape[-2::-1] - 1).astype(np.float32)


def _repeat(array: np.ndarray, count: int) -> Any:
    """Returns an array of equal rows, which are not stored."""
    return LazyArray.create(lambda rows: np.broadcast_to(array, (len(rows), *array.shape)), count)
