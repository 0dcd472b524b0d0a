"""Predictors are called batch by batch, with at most one padded batch."""

import numpy as np
import pytest

from train.errors import UserError
from train.evaluation.predictor import Predictor, check_batch_size, predict_batches


def test_images_are_predicted_in_batches_of_one_size() -> None:
    sizes = []

    def call(images: np.ndarray) -> dict[str, object]:
        sizes.append(len(images))
        return {"probabilities": images.sum((1, 2)), "warps": []}

    predictor = Predictor(("a",), (2, 2, 1), (2, 2, 1), 3, call)
    images = [np.full((2, 2, 1), i, np.uint8) for i in range(7)]
    for count, batch_size, expected in ((7, 0, [3, 3, 3]), (2, 0, [2]), (7, 7, [7]), (0, 0, [])):
        sizes.clear()
        batches = list(predict_batches(predictor, images[:count], batch_size))
        assert sizes == expected
        found = [value for batch in batches for value in batch["probabilities"].ravel().tolist()]
        assert found == [4 * i for i in range(count)]


def test_negative_batch_sizes_are_refused() -> None:
    check_batch_size(0)
    with pytest.raises(UserError, match="--batch-size -1 is not allowed"):
        check_batch_size(-1)
