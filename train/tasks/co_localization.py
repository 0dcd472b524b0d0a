"""Co-localization: a window is put on what the images of a collection have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random
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

    Alike is what has descriptors of one direction: the activations of all layers of a trained
    classifier, less those of a dark image. The boxes of the data only measure; nothing is trained
    on them. The loss compares each example with the others of its batch, on one device.

    The paper does not say what kept its windows from a dark place, where all look alike, nor from
    shrinking to a point. Here what is nearly dark is like nothing, not even itself (`describe`),
    and a window's size has a price. Scenes are moved a little at each step, so that the network
    learns where digits are, and not 100 scenes by heart.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.2.
    """

    encoder: str = "runs/mnist_r_cnn"
    """Work directory of the finished run of a CNN, whose layers describe a window."""
    margin: float = 1.0
    """By how much a random crop shall be farther, in squared distance."""
    floor: float = 0.3
    """How dark counts as dark: a share of the strongest activations among the batch's crops."""
    size_penalty: float = 0.6
    """Weight of the logarithm, without its sign, of a window's size relative to a random crop's."""
    shift: int = 10
    """Pixels by which a scene is moved along each axis, at most, in training."""
    threshold: float = 0.5
    """Intersection over union with the true box above which a digit is found."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        super().__post_init__()
        check(
            self,
            "task",
            positive=("margin", "floor"),
            not_negative=("size_penalty", "shift"),
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
    """

    crop: Array
    box: Array


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
        """Returns a scene, in training moved, and a random crop of it with the true box."""
        scene, box = to_float(rows["images"][0]), rows["boxes"][0]
        if step is not None:
            scene, box = move(random.fold_in(key, 1), scene, box, self.config.shift)
        shape = self.encoder.input_shape
        corner = draw_integers(key, np.subtract(scene.shape, shape))
        return scene, Targets(lax.dynamic_slice(scene, corner, shape), box)

    def loss(self, prediction: Any, targets: Targets) -> Float[Array, "b"]:
        """Returns what is minimised; it does not see the boxes."""
        window = prediction.warps[-1]
        windows, crops = self.encoder(window.features), self.encoder(targets.crop)
        floors = [self.config.floor * jnp.max(jnp.sum(x**2, axis=-1)) for x in crops]
        descriptors = describe(windows, floors), describe(crops, floors)
        cost = triplet_loss(*descriptors, self.config.margin)
        return cost + self.config.size_penalty * size_cost(window.grid, self.crop_size)

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


def move(key: Array, scene: Array, box: Array, limit: int) -> tuple[Array, Array]:
    """Moves a scene, and the box in it, by up to a number of pixels along each axis."""
    height, width, channels = scene.shape
    padded = jnp.pad(scene, ((limit, limit), (limit, limit), (0, 0)))
    y, x, _ = corner = draw_integers(key, np.array([2 * limit, 2 * limit, 0]))
    offset = jnp.stack([(limit - x) * (2 / width), (limit - y) * (2 / height)])
    moved = lax.dynamic_slice(padded, corner, (height, width, channels))
    return moved, box + jnp.tile(offset, 2)


def describe(
    layers: Sequence[Float[Array, "b _"]], floors: Sequence[Float[Array, ""]]
) -> Float[Array, "b f"]:
    """Returns a vector of length 1 or less for each example, from the activations of its layers.

    ``x / sqrt(|x|^2 + floor)`` of each layer: a direction, but of what is nearly dark almost 0.

    Args:
        layers: activations less those of a dark image.
        floors: for each layer, the squared length at which the vector's is one half.

    Example:
        >>> found = describe([jnp.array([[3.0, 4.0], [0.0, 0.0]])], [jnp.array(75.0)])
        >>> np.asarray(found).round(2).tolist() == np.float32([[0.3, 0.4], [0, 0]]).tolist()
        True
    """
    parts = [
        x / jnp.sqrt(jnp.sum(x**2, axis=-1, keepdims=True) + jnp.maximum(floor, 1e-6))
        for x, floor in zip(layers, floors, strict=True)
    ]
    return jnp.concatenate(parts, axis=-1) / np.float32(len(parts)) ** 0.5


def triplet_loss(
    windows: Float[Array, "b f"], crops: Float[Array, "b f"], margin: float
) -> Float[Array, "b"]:
    """Returns the mean hinge of each example n over the other examples m of the batch.

    The hinge is ``max(0, d(windows_n, windows_m) - d(windows_n, crops_n) + margin)`` with ``d(a, b)
    = 2 - 2 a.b``, which is ``|a - b|^2`` where a and b have length 1. A shorter one is far from
    all.

    Example:
        >>> windows, crops = jnp.array([[1.0, 0.0], [0.6, 0.8]]), jnp.array([[0.0, 1.0]] * 2)
        >>> triplet_loss(windows, crops, 1.0).round(4).tolist()
        [0.0, 1.399999976158142]
    """
    count = len(windows)
    products = jnp.matmul(windows, windows.T, precision=lax.Precision.HIGHEST)
    own = jnp.sum(windows * crops, axis=-1)
    hinge = jnp.maximum(2 * (own[:, None] - products) + margin, 0)
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
