"""What ``predict`` calls: a trained network, of a work directory or of an exported file."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from train.errors import UserError


class Predictor(NamedTuple):
    """A trained classifier.

    Attributes:
        class_names: names of the classes.
        input_shape: ``(h, w, c)`` of the network's input.
        image_shape: ``(h, w, c)`` of the training images, to which others are resized.
        batch_size: images for each call, if nothing else is asked for.
        call: what an image is taken for, ``(b, h, w, c)`` uint8 -> ``{"probabilities": (b, k),
            "warps": [{"theta": (b, p), "features": (b, h', w', c)}, ...]}``, NumPy arrays.
    """

    class_names: Sequence[str]
    input_shape: tuple[int, ...]
    image_shape: tuple[int, ...]
    batch_size: int
    call: Callable[[np.ndarray], Any]


def predict_batches(
    predictor: Predictor, images: Iterable[np.ndarray], batch_size: int
) -> Iterator[Any]:
    """Yields what a predictor says of images, batch by batch.

    The last batch is padded to avoid a second compilation.

    Args:
        predictor: what is called.
        images: uint8, each of the predictor's input shape.
        batch_size: images for each call; 0 is the predictor's own.
    """
    size, full = batch_size or predictor.batch_size, False
    batch: list[np.ndarray] = []
    for image in images:
        batch.append(image)
        if len(batch) == size:
            yield predictor.call(np.stack(batch))
            batch, full = [], True
    if batch:
        count = len(batch)
        if full:
            batch += batch[-1:] * (size - count)
        found = predictor.call(np.stack(batch))
        yield jax.tree.map(lambda array: array[:count], found)


def check_batch_size(batch_size: int) -> None:
    """Refuses a batch size of the command line that is negative; 0 is the run's."""
    if batch_size < 0:
        raise UserError(
            f"--batch-size {batch_size} is not allowed; it must be 0 (the run's) or above."
        )
