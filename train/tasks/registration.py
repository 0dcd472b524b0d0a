"""Registration: a moving volume is aligned with a fixed one, by what they look like alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, random
from jaxtyping import Float

import stn_jax as stn
from train.checks import check
from train.data.dataset import DataSpec
from train.data.distortions.deformation import VolumeDeformation
from train.tasks.classification import to_float
from train.tasks.similarity import CrossCorrelation
from train.tasks.task import Metric, Task

if TYPE_CHECKING:
    from train.evaluation.evaluator import Evaluator
    from train.step.step import Evaluated


@dataclass(frozen=True)
class Registration:
    """A deformed volume is aligned with the volume; no known deformation is trained on.

    References:
        Balakrishnan et al., "VoxelMorph: a learning framework for deformable medical image
        registration", 2019.
    """

    similarity: Callable[[Array, Array], Array] = CrossCorrelation()  # noqa: RUF009
    """How unlike two volumes are, ``(moved, fixed) -> (b,)``; a part without ``build``, or a
    function."""
    smoothness: float = 0.02
    """Weight of `stn_jax.smoothness_penalty` of the velocity field in what is minimised."""
    tissue: float = 0.8
    """Brightness above which a voxel belongs to the tissue whose overlap is measured."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(self, "task", not_negative=("smoothness",), fraction=("tissue",))

    def build(self, spec: DataSpec, distortion: Any) -> "VolumeRegistration":
        """Returns the task for data with ``volumes`` and ``landmarks``."""
        return VolumeRegistration(self, spec, distortion)


class Targets(NamedTuple):
    """What is known of an example.

    Attributes:
        fixed: the fixed volume, ``(d, h, w, 1)``.
        tissue: the tissue of the moving volume, in [0, 1], ``(d, h, w, 1)``.
        landmarks: points of the fixed volume, ``(n, 3)``, normalised.
        moving_landmarks: where they lie in the moving volume.
    """

    fixed: Array
    tissue: Array
    landmarks: Array
    moving_landmarks: Array


class VolumeRegistration(Task):
    """Registration of a volume with deformations of itself, which are drawn for each example.

    A network's prediction has ``warps``, of which the last one's features are the moved volume and
    its grid says where each voxel of the fixed volume lies in the moving one; and ``velocity``, the
    field that is to be smooth.

    Raises:
        ValueError: for data or a distortion that are not those of registration.
    """

    num_outputs = 0
    monitor = "distance"

    def __init__(self, config: Registration, spec: DataSpec, distortion: Any):
        missing = [name for name in ("volumes", "landmarks") if name not in spec.arrays]
        if missing:
            raise ValueError(
                f"{spec.name} has no {missing[0]}; registration needs data such as BrainVolume, "
                "with arrays volumes and landmarks."
            )
        shape = spec.arrays["volumes"][0]
        self.deformation = distortion.build(shape)
        if not isinstance(self.deformation, VolumeDeformation):
            raise ValueError(
                f"distortion={type(distortion).__name__} has no known inverse; registration needs "
                "Deformation."
            )
        self.config = config
        self.input_shape = (*shape[:-1], 2)
        self.metrics = {
            "loss": Metric(self.loss, "similarity and smoothness", text="{:.3f}"),
            "similarity": Metric(self.similarity, "unlikeness of the volumes"),
            "distance": Metric(distance, "distance of landmarks, voxels", text="{:.2f} voxels"),
            "distance_before": Metric(distance_before, "distance before registration, voxels"),
            "dice": Metric(self.dice, "Dice overlap of tissue"),
            "min_jacobian": Metric(min_jacobian, "smallest Jacobian determinant"),
            "folded": Metric(folded, "folded cells, %", scale=100.0),
        }

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns the moving and the fixed volume as channels, and what is known of them."""
        fixed, landmarks = to_float(rows["volumes"][0]), rows["landmarks"][0]
        warp_key, brightness_key = random.split(key)
        params = self.deformation.draw(warp_key, step)
        tissue = (fixed > self.config.tissue).astype(fixed.dtype)
        grid = self.deformation.grid(params)
        moving, tissue = jnp.split(
            stn.grid_sample(jnp.concatenate([fixed, tissue], axis=-1), grid), 2, axis=-1
        )
        moving = self.deformation.change_brightness(brightness_key, moving)
        moved = self.deformation.forward.apply(params, landmarks)
        return jnp.concatenate([moving, fixed], axis=-1), Targets(fixed, tissue, landmarks, moved)

    def similarity(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns how unlike the moved and the fixed volumes are."""
        return self.config.similarity(prediction.warps[-1].features, targets.fixed)

    def loss(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns what is minimised; it does not see the known deformation."""
        roughness = stn.smoothness_penalty(stn.flow_grid(prediction.velocity))
        return self.similarity(prediction, targets) + self.config.smoothness * roughness

    def dice(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns the Dice overlap of the moved and the fixed tissue."""
        moved = stn.grid_sample(targets.tissue, prediction.warps[-1].grid) > 0.5
        fixed = targets.fixed > self.config.tissue
        spatial = range(1, fixed.ndim)
        both, either = jnp.sum(moved & fixed, spatial), jnp.sum(moved, spatial)
        return 2 * both / (either + jnp.sum(fixed, spatial))

    def headline(self, metrics: Mapping[str, np.ndarray]) -> str:
        """Returns the distance of landmarks, and what it was before."""
        after, before = (metrics[name].mean() for name in ("distance", "distance_before"))
        count = len(metrics["distance"])
        return f"{after:.2f} voxels, {before:.2f} before ({count:,} examples)"

    def report(self, evaluated: "Evaluated") -> dict[str, Any]:
        """Returns the distance relative to that before, and the worst example's determinant."""
        metrics = evaluated.metrics
        ratio = metrics["distance"].mean() / metrics["distance_before"].mean()
        return {
            "registration": {
                "distance_ratio": round(float(ratio), 4),
                "smallest_jacobian": round(float(metrics["min_jacobian"].min()), 4),
            }
        }

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", split: str, folder: Path
    ) -> Path | None:
        """Draws slices of a few examples before and after, and their deformed grids."""
        from train.evaluation import figures
        from train.evaluation.volumes import ROWS, draw_registration

        indices = np.arange(min(ROWS, len(evaluated.metrics["distance"])))
        shown = evaluator.visualize(params, split, indices)
        before, after = (
            evaluated.metrics[name][indices] for name in ("distance_before", "distance")
        )
        title = f"{figures.SPLIT_NAMES[split]} examples: slices through the middle"
        fig = draw_registration(shown, before, after, title)
        return figures.save(folder / "registration.png", fig)


def distance(prediction: Any, targets: Targets) -> Float[Array, "b"]:
    """Returns the mean distance of landmarks from where they lie, in voxels."""
    grid = prediction.warps[-1].grid
    points = targets.landmarks[:, None, None]
    found = stn.grid_sample(grid, points, padding_mode="border")[:, 0, 0]
    return _voxels(found - targets.moving_landmarks, grid)


def distance_before(prediction: Any, targets: Targets) -> Float[Array, "b"]:
    """Returns the mean distance of landmarks in the two volumes, in voxels."""
    return _voxels(targets.landmarks - targets.moving_landmarks, prediction.warps[-1].grid)


def _voxels(vectors: Float[Array, "b n 3"], grid: Float[Array, "b d h w 3"]) -> Float[Array, "b"]:
    half = np.array(grid.shape[-2:-5:-1], np.float32) / 2
    return jnp.mean(jnp.linalg.norm(vectors * half, axis=-1), axis=-1)


def min_jacobian(prediction: Any, targets: Targets) -> Float[Array, "b"]:
    """Returns the smallest determinant of the Jacobian over all cells; below 0 it folds."""
    return jnp.min(stn.jacobian_determinant(prediction.warps[-1].grid), axis=(1, 2, 3))


def folded(prediction: Any, targets: Targets) -> Float[Array, "b"]:
    """Returns the fraction of cells that are folded."""
    determinant = stn.jacobian_determinant(prediction.warps[-1].grid)
    return jnp.mean((determinant <= 0).astype(jnp.float32), axis=(1, 2, 3))
