"""The network of a work directory as a function of images."""

from pathlib import Path

import jax
import numpy as np
import pytest

from train.evaluation.evaluator import load_run
from train.evaluation.live import live_predictor, predict_images

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_bytes_are_divided_by_255(finished_run: Path) -> None:
    run = load_run(finished_run, data=False)
    network, task = run.experiment.network, run.experiment.task
    predictor = live_predictor(finished_run)
    assert (predictor.class_names, predictor.input_shape) == (("0", "1", "2"), task.input_shape)
    images = np.random.default_rng(0).integers(0, 256, (3, *task.input_shape), np.uint8)
    found = predictor.call(images)
    floats = (images / 255).astype(np.float32)
    expected = predict_images(network, task, run.params, jax.numpy.asarray(floats))
    assert set(found) == {"probabilities", "warps"}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found, expected)
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
