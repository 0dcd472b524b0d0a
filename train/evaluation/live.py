"""The trained network of a work directory, as a function of images."""

from pathlib import Path
from typing import Any

import jax

from train.errors import UserError
from train.evaluation.evaluator import Run, load_run
from train.evaluation.predictor import Predictor
from train.run.devices import replicate
from train.step.state import Network, Params
from train.step.step import visualize
from train.tasks.classification import LabelledImages, to_float
from train.tasks.task import Task


def predict_images(
    network: Network, task: Task, params: Params, images: jax.Array
) -> dict[str, Any]:
    """Returns what a network says of images: what `train.evaluation.export` writes.

    Args:
        network: the network.
        task: its task.
        params: its parameters.
        images: ``(b, h, w, c)``, uint8, or float32 in [0, 1].

    Returns:
        What the task keeps of the prediction, such as ``probabilities``, and for each transformer
        its ``theta`` and the ``features`` that it made.
    """
    shown = visualize(network, task, params, to_float(images))
    warps = [{"theta": warp.theta, "features": warp.features} for warp in shown.warps]
    return {**shown.outputs, "warps": warps}


def live_predictor(workdir: Path) -> Predictor:
    """Returns the trained classifier of a work directory.

    Raises:
        UserError: if there is none.
    """
    run = load_run(workdir, data=False)
    task = run.experiment.task
    if not isinstance(task, LabelledImages):
        raise UserError(
            f"--workdir {workdir} holds a run of {type(task).__name__}; predict is for "
            "classification."
        )
    return Predictor(
        task.class_names,
        task.input_shape,
        run.experiment.spec.arrays["images"][0],
        run.experiment.config.train.eval_batch_size,
        live_call(run),
    )


def live_call(run: Run) -> Any:
    """Returns the network of a run as a compiled function of images, for NumPy arrays."""
    network, task, mesh = run.experiment.network, run.experiment.task, run.experiment.mesh
    step = jax.jit(lambda params, images: predict_images(network, task, params, images))
    return lambda images: jax.device_get(step(run.params, replicate(images, mesh)))
