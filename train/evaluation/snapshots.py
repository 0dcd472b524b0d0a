"""Snapshots: what the transformers make of the same few images, step after step of the training."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from train.evaluation.drawing import OUTLINES
from train.evaluation.evaluator import Evaluator
from train.run.json_files import replace
from train.run.progress import log
from train.step.state import Params

SPLIT = "valid"
"""Where the images come from."""

IMAGES = 6
"""Their number."""

MOMENTS = 8
"""Snapshots on a page that shows them side by side."""


class Snapshot(NamedTuple):
    """A few images, and what the transformers make of them.

    Attributes:
        step: the step after which it was taken.
        images: ``(n, h, w, c)``.
        warps: grid ``(n, *out_shape, 2)`` and output ``(n, *out_shape, c)`` of each transformer.
    """

    step: int
    images: np.ndarray
    warps: list[tuple[np.ndarray, np.ndarray]]


def save_snapshot(workdir: Path, evaluator: Evaluator, params: Params, step: int) -> None:
    """Saves a few images with the current output of each transformer, if there is one.

    A snapshot that cannot be saved does not stop a run. Process 0 alone saves it.
    """
    if jax.process_index():
        return
    split = SPLIT if SPLIT in evaluator.arrays else "train"
    count = evaluator.experiment.spec.counts[split]
    indices = np.linspace(0, count - 1, min(IMAGES, count)).round()  # of all classes, where sorted
    shown = evaluator.visualize(params, split, indices)
    if not shown.warps or shown.warps[0].grid.ndim != 4:
        return
    folder = workdir / "snapshots"
    arrays = {"images": shown.inputs}
    for k, warp in enumerate(shown.warps[: len(OUTLINES)]):
        arrays |= {f"grid{k}": warp.grid, f"features{k}": warp.features}
    try:
        folder.mkdir(exist_ok=True)
        replace(folder / f"{step:07}.npz", lambda path: np.savez_compressed(path, **arrays))
    except OSError as error:
        log(f"the snapshot of step {step:,} cannot be saved in {folder} ({error.strerror})")


def load_snapshots(workdir: Path) -> list[Snapshot]:
    """Returns the snapshots of a run in the order of their steps; none without a transformer."""
    snapshots = []
    for path in sorted((workdir / "snapshots").glob("[0-9]*.npz")):
        with np.load(path) as arrays:
            count = sum(name.startswith("grid") for name in arrays)
            warps = [(arrays[f"grid{k}"], arrays[f"features{k}"]) for k in range(count)]
            snapshots.append(Snapshot(int(path.stem), arrays["images"], warps))
    return snapshots


def pick_moments(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Returns at most `MOMENTS` snapshots, evenly chosen, the first and the last among them."""
    count = min(MOMENTS, len(snapshots))
    return [snapshots[i] for i in np.linspace(0, len(snapshots) - 1, count).round().astype(int)]
