"""A small brain of ellipsoids, as a file: what tests of registration read."""

from pathlib import Path

import numpy as np


def make_brain(shape: tuple[int, int, int] = (30, 40, 34)) -> np.ndarray:
    """Returns a volume (x, y, z), uint8: a shell, a core and a dark ventricle, off the middle."""
    centre, radii = np.array(shape) / 2 + [1, -2, 3], np.array(shape) * [0.33, 0.38, 0.3]
    places = np.moveaxis(np.indices(shape), 0, -1) + 0.5 - centre
    radius = np.linalg.norm(places / radii, axis=-1)
    front = np.linalg.norm((places - [0, 4, 0]) / (0.25 * radii), axis=-1)
    volume = np.where(radius < 1, 140, 0) + np.where(radius < 0.75, 100, 0)
    return np.where((front < 1) & (radius < 1), 80, volume).astype(np.uint8)


def write_volume(path: Path, volume: np.ndarray, sides: tuple[float, ...] = (1, 1, 1)) -> Path:
    """Writes a volume (x, y, z), with voxels of these sides in millimetres."""
    import nibabel

    nibabel.Nifti1Image(volume, np.diag([*sides, 1.0])).to_filename(path)
    return path
