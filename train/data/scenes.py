"""Scenes: large dark images with one digit of a class each, and where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.checks import check
from train.data.dataset import Arrays, DataError
from train.data.sources import Images

SEEDS = {"train": 1, "valid": 2}
"""Seed of the places of each split."""


@dataclass(frozen=True)
class Scenes:
    """A collection of images that each show a digit of one class, at a random place.

    Nothing is drawn anew in training: the collection is what is to be understood, without labels.
    So its scenes are those of training and of testing; others, of digits that the source holds out
    for validation, say by the loss alone which parameters to keep.

    References:
        Jaderberg et al., "Spatial Transformer Networks", 2015, appendix A.2.
    """

    name: str = "mnist"
    """Where the digits come from, as for `Images`."""
    data_dir: str | None = None
    """As for `Images`."""
    manual_dir: str | None = None
    """As for `Images`."""
    digit: int = 0
    """The class of the collection, by its number."""
    count: int = 100
    """Number of scenes."""
    canvas: int = 84
    """Side of a scene in pixels."""
    patches: int = 0
    """Number of patches of any digits at random places; of 16 the paper's TC has."""
    patch_size: int = 6
    """Side of a patch in pixels."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self,
            "data",
            positive=("count", "canvas", "patch_size"),
            not_negative=("digit", "patches"),
        )

    def build(self) -> "Collection":
        """Makes the scenes.

        Raises:
            DataError: for a class that the source has not, or has too few images of; for a canvas
                or patches that do not fit its images.
        """
        digits = Images(self.name, self.data_dir, self.manual_dir).build()
        height, width, _ = digits.image_shape
        if self.digit >= digits.num_classes:
            raise DataError(
                f"data.digit={self.digit} is not allowed; {digits.name} has the classes 0 to "
                f"{digits.num_classes - 1}."
            )
        if self.canvas < max(height, width):
            raise DataError(
                f"data.canvas={self.canvas} is too small for images of {width} x {height}; give "
                f"{max(height, width)} or above."
            )
        if self.patch_size > min(height, width):
            raise DataError(
                f"data.patch_size={self.patch_size} is larger than the images, {width} x {height}; "
                f"give {min(height, width)} or below."
            )
        splits = {}
        for split, seed in SEEDS.items():
            images, labels = (digits.splits[split][name] for name in ("images", "labels"))
            chosen = images[labels == self.digit][: self.count]
            if len(chosen) < self.count:
                raise DataError(
                    f"{digits.name} has {len(chosen)} {split} images of class {self.digit}; give "
                    f"--data.count {len(chosen)} or below."
                )
            random = np.random.default_rng((seed, self.digit))
            splits[split] = self.compose(random, chosen, images)
        name = f"{digits.name}, class {digits.class_names[self.digit]}"
        return Collection(name, {**splits, "test": splits["train"]}, {})

    def compose(
        self, random: np.random.Generator, digits: np.ndarray, others: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Returns scenes and boxes.

        Args:
            random: where places and patches come from.
            digits: the digit of each scene, ``(n, h, w, c)``.
            others: what patches are cut from, ``(m, h, w, c)``.

        Returns:
            ``images`` ``(n, canvas, canvas, c)``, and ``boxes`` ``(n, 4)``: the edges (x0, y0, x1,
            y1) of the digit's image in normalised coordinates.
        """
        n, height, width, channels = digits.shape
        scenes = np.zeros((n, self.canvas, self.canvas, channels), digits.dtype)
        tops = random.integers(0, self.canvas - height, n, endpoint=True)
        lefts = random.integers(0, self.canvas - width, n, endpoint=True)
        for scene, digit, top, left in zip(scenes, digits, tops, lefts, strict=True):
            scene[top : top + height, left : left + width] = digit
            for other in others[random.integers(0, len(others), self.patches)]:
                paste(random, scene, cut(random, other, self.patch_size))
        edges = np.stack([lefts, tops, lefts + width, tops + height], axis=-1)
        return {"images": scenes, "boxes": (2 * edges / self.canvas - 1).astype(np.float32)}


@dataclass(frozen=True)
class Collection:
    """Scenes by split; see `train.data.dataset.Data`."""

    name: str
    splits: Mapping[str, Arrays]
    info: Mapping[str, Any]


def cut(random: np.random.Generator, image: np.ndarray, size: int) -> np.ndarray:
    """Returns a square at a random place of an image ``(h, w, c)``."""
    top, left = random.integers(0, np.subtract(image.shape[:2], size), endpoint=True)
    return image[top : top + size, left : left + size]


def paste(random: np.random.Generator, image: np.ndarray, patch: np.ndarray) -> None:
    """Puts a patch at a random place of an image; the brighter pixel counts."""
    height, width, _ = patch.shape
    room = np.subtract(image.shape[:2], patch.shape[:2])
    top, left = random.integers(0, room, endpoint=True)
    place = image[top : top + height, left : left + width]
    np.maximum(place, patch, out=place)
