"""Co-localization: a window is put on what the images of a collection have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from train.checks import check
from train.data.dataset import DataSpec
from train.data.distortions.base import draw_integers
from train.data.distortions.clutter import NoDistortion
from train.tasks.classification import to_float
from train.tasks.task import Metric, Task, TaskPart

if TYPE_CHECKING:
    from train.evaluation.encoder import Encoder
    from train.evaluation.evaluator import Evaluator
    from train.step.step import Evaluated


@dataclass(frozen=True)
class CoLocalization(TaskPart):
    """Windows on two images shall look more alike than a window and a random crop of its image.

    Alike is what has near descriptors: the activations of all layers of a trained classifier, each
    layer's scaled to one length, all together to 1. The boxes of the data only measure; nothing is
    trained on them. The loss compares each example with the others of its batch, on one device.

    Where descriptors are not scaled, or windows may have any size, they shrink to a dark point or
    grow: then all look alike. The paper says of neither how it was kept from that. Here a penalty
    on a window's size is weak until windows have found the object, which a strong one keeps them
    from, and then strong, as a weak one leaves them larger than it.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.2.
    """

    encoder: str = "runs/mnist_r_cnn"
    """Work directory of the finished run of a CNN, whose layers describe a window."""
    margin: float = 1.0
    """By how much a random crop shall be farther, in squared distance."""
    size_penalty: float = 2.0
    """Weight of the logarithm, without its sign, of a window's size relative to a random crop's."""
    first_size_penalty: float = 0.6
    """That weight until windows have found the object."""
    search_steps: int = 600
    """Number of steps until then."""
    threshold: float = 0.5
    """Intersection over union with the true box above which a digit is found."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        super().__post_init__()
        check(
            self,
            "task",
            positive=("margin",),
            not_negative=("size_penalty", "first_size_penalty", "search_steps"),
            fraction=("threshold",),
        )

    def build(self, spec: DataSpec, distortion: Any) -> "CommonObject":
        """Returns the task for data with ``images`` and ``boxes``.

        Raises:
            UserError: if there is no such encoder.
        """
        from train.evaluation.encoder import load_encoder

        return CommonObject(self, spec, distortion, load_encoder(self.encoder))


class Targets(NamedTuple):
    """What the loss is told of an example.

    Attributes:
        crop: a random crop of the scene, of the size that the encoder sees, ``(h, w, c)``.
        box: the true box, (x0, y0, x1, y1), normalised.
        size_penalty: weight of the penalty on a window's size, at this step.
    """

    crop: Array
    box: Array
    size_penalty: Array


class CommonObject(Task):
    """Co-localization of one object in each scene.

    A network's prediction has ``warps``, of which the last one's features are what the window
    reads, in the size that the encoder sees.

    Raises:
        ValueError: for data without boxes, a distortion, which would move what is in them, or
            scenes smaller than what the encoder sees.
    """

    num_outputs = 0
    monitor = "loss"

    def __init__(self, config: CoLocalization, spec: DataSpec, distortion: Any, encoder: "Encoder"):
        missing = [name for name in ("images", "boxes") if name not in spec.arrays]
        if missing:
            raise ValueError(
                f"{spec.name} has no {missing[0]}; co-localization needs data such as Scenes, with "
                "arrays images and boxes."
            )
        if distortion != NoDistortion():
            raise ValueError(
                f"distortion={distortion} would move what is in the boxes; co-localization needs "
                "NoDistortion()."
            )
        self.config = config
        self.encoder = encoder
        self.input_shape = spec.arrays["images"][0]
        if any(np.subtract(self.input_shape, encoder.input_shape) < (0, 0, 0)):
            raise ValueError(
                f"task.encoder={config.encoder!r} sees {encoder.input_shape}, which is larger than "
                f"the scenes, {self.input_shape}."
            )
        self.outside_penalty = config.outside_penalty
        self.identity_penalty = config.identity_penalty
        self.metrics = {
            "loss": Metric(self.loss, "triplet loss", text="{:.3f}"),
            "error": Metric(self.error, "not found, %", scale=100.0, text="{:5.1f} %"),
            "iou": Metric(overlap, "intersection over union"),
        }

    def example(self, key: Array, rows: dict[str, Array], step: Array | None) -> tuple[Any, Any]:
        """Returns a scene, and a random crop of it with the true box."""
        scene, shape = to_float(rows["images"][0]), self.encoder.input_shape
        corner = draw_integers(key, np.subtract(scene.shape, shape))
        crop = lax.dynamic_slice(scene, corner, shape)
        return scene, Targets(crop, rows["boxes"][0], self.size_penalty(step))

    def size_penalty(self, step: Array | None) -> Array:
        """Returns the weight of the penalty on sizes at a step; that of evaluation is the last."""
        first, last = self.config.first_size_penalty, self.config.size_penalty
        is_searching = False if step is None else step < self.config.search_steps
        return jnp.where(is_searching, first, last)

    def loss(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns what is minimised; it does not see the boxes."""
        window = prediction.warps[-1]
        descriptors = self.encoder(window.features), self.encoder(targets.crop)
        cost = triplet_loss(*descriptors, self.config.margin)
        return cost + targets.size_penalty * size_cost(window.grid, self.crop_size)

    @property
    def crop_size(self) -> np.ndarray:
        """Sides along x and y of a crop, where those of a scene are 2."""
        shapes = self.encoder.input_shape, self.input_shape
        height, width, _ = 2 * np.divide(*shapes, dtype=np.float32)
        return np.array([width, height])

    def error(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns 1 where a digit is not found, else 0."""
        return (overlap(prediction, targets) <= self.config.threshold).astype(jnp.float32)

    def headline(self, metrics: Mapping[str, np.ndarray]) -> str:
        """Returns the loss, and how many digits were found."""
        missed, count = int(metrics["error"].sum()), len(metrics["error"])
        return f"{metrics['loss'].mean():.3f}, {count - missed} of {count:,} found"

    def draw(
        self, evaluator: "Evaluator", params: Any, evaluated: "Evaluated", split: str, folder: Path
    ) -> Path | None:
        """Draws scenes with the true box and the window."""
        from train.evaluation import figures
        from train.evaluation.boxes import draw_boxes

        indices = np.arange(min(figures.MAX_VISUALIZED, len(evaluated.metrics["iou"])))
        shown = evaluator.visualize(params, split, indices)
        overlaps = evaluated.metrics["iou"][indices]
        fig = draw_boxes(
            shown.inputs,
            evaluated.targets.box[indices],
            np.asarray(grid_box(shown.warps[-1].grid)),
            overlaps,
            overlaps > self.config.threshold,
            f"{figures.SPLIT_NAMES[split]} scenes: the digit's box green, the window orange",
        )
        return figures.save(folder / "transformer.png", fig)


def triplet_loss(
    windows: Float[Array, "b f"], crops: Float[Array, "b f"], margin: float
) -> Float[Array, "b"]:
    """Returns the mean hinge of each example n over the other examples m of the batch.

    The hinge is ``max(0, |windows_n - windows_m|^2 - |windows_n - crops_n|^2 + margin)``.

    Example:
        >>> windows, crops = jnp.array([[0.0], [1.0], [3.0]]), jnp.array([[2.0], [1.0], [4.0]])
        >>> triplet_loss(windows, crops, 1.0).tolist()
        [3.0, 3.5, 6.5]
    """
    count = len(windows)
    squares = jnp.sum(windows**2, axis=-1)
    products = jnp.matmul(windows, windows.T, precision=lax.Precision.HIGHEST)
    near = squares[:, None] + squares[None] - 2 * products
    far = jnp.sum((windows - crops) ** 2, axis=-1)
    hinge = jnp.maximum(near - far[:, None] + margin, 0)
    others = 1 - np.eye(count, dtype=np.float32)
    return jnp.sum(hinge * others, axis=-1) / max(count - 1, 1)


def size_cost(grid: Float[Array, "b h w 2"], size: np.ndarray) -> Float[Array, "b"]:
    """Returns the logarithm of a grid's sides relative to a size, without sign, averaged over axes.

    Example:
        >>> import stn_jax as stn
        >>> grid = stn.attention_grid(jnp.array([[0.5, 0.0, 0.0]]), (4, 4))
        >>> size_cost(grid, np.array([1.0, 2.0], np.float32)).round(4)
        Array([0.3466], dtype=float32)
    """
    low, high = jnp.split(grid_box(grid), 2, axis=-1)
    ratio = jnp.maximum((high - low) / size[None], 1e-3)
    return jnp.mean(jnp.abs(jnp.log(ratio)), axis=-1)


def grid_box(grid: Float[Array, "b h w 2"]) -> Float[Array, "b 4"]:
    """Returns the edges (x0, y0, x1, y1) of what a grid reads: its outer pixels as a whole.

    Example:
        >>> import stn_jax as stn
        >>> grid_box(stn.attention_grid(jnp.array([[0.5, 0.25, 0.0]]), (4, 4))).tolist()
        [[-0.25, -0.5, 0.75, 0.5]]
    """
    height, width = grid.shape[1:3]
    low, high = jnp.min(grid, axis=(1, 2)), jnp.max(grid, axis=(1, 2))
    sides = (high - low) * np.array([width / (width - 1), height / (height - 1)], np.float32)
    middle = (low + high) / 2
    return jnp.concatenate([middle - sides / 2, middle + sides / 2], axis=-1)


def intersection_over_union(
    one: Float[Array, "b 4"], other: Float[Array, "b 4"]
) -> Float[Array, "b"]:
    """Returns how much boxes (x0, y0, x1, y1) overlap, from 0 to 1.

    Example:
        >>> one, other = jnp.array([[0.0, 0.0, 2.0, 2.0]]), jnp.array([[1.0, 0.0, 2.0, 2.0]])
        >>> intersection_over_union(one, other).tolist()
        [0.5]
    """
    low = jnp.maximum(one[:, :2], other[:, :2])
    high = jnp.minimum(one[:, 2:], other[:, 2:])
    both = jnp.prod(jnp.maximum(high - low, 0), axis=-1)
    areas = [jnp.prod(box[:, 2:] - box[:, :2], axis=-1) for box in (one, other)]
    return both / (areas[0] + areas[1] - both)


def overlap(prediction: Any, targets: Targets) -> Float[Array, "b"]:
    """Returns the intersection over union of the window and the true box."""
    return intersection_over_union(grid_box(prediction.warps[-1].grid), targets.box)
