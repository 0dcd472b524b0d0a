"""The verb ``export``: the trained network as one file, weights inside, checked before written."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

import stn_jax
from train.errors import TrainingError, UserError, shorten
from train.evaluation.evaluator import Evaluator, Run, load_run
from train.evaluation.export_file import is_model, write_model
from train.evaluation.export_inspect import inspect_program
from train.evaluation.live import live_call, predict_images
from train.run.devices import EXPORTED_PLATFORMS
from train.run.json_files import read_json, replace
from train.run.progress import log
from train.run.workdir import SUMMARY
from train.tasks.classification import LabelledImages
from train.tasks.sequence import LabelSequence

NAME = "model.stn"
"""Name of the file in a work directory."""

CHECKED = (1, 3)
"""Batch sizes at which the exported network is compared with the live one."""

TOLERANCE = 1e-4
"""Largest difference of a probability, an entry of theta or a pixel, relative where above 1."""


def export(workdir: Path, out: Path | None) -> int:
    """Writes the trained network of a work directory as one file; see `export_file`.

    Args:
        workdir: work directory of a run.
        out: the file; None is ``model.stn`` in the work directory.

    Returns:
        The exit code.

    Raises:
        UserError: if there is no such run, it is of another task, its network has no program for
            every batch size, or the file would overwrite another.
        TrainingError: if the exported network differs from the live one.
    """
    path = workdir / NAME if out is None else out
    if path.exists() and not is_model(path):
        raise UserError(f"--out {path} is not an exported network; give another name.")
    try:
        run = load_run(workdir, data=True)
    except (UserError, OSError):  # the data have moved; or the same error comes again
        run = load_run(workdir, data=False)
    task = run.experiment.task
    if not isinstance(task, LabelledImages | LabelSequence):
        raise UserError(
            f"--workdir {workdir} holds a run of {type(task).__name__}; export is for "
            "classification and sequences."
        )
    program = make_program(run)
    images, kind = _images_to_check(run)
    difference = _compare(run, program, images)
    if not difference <= TOLERANCE:  # NaN too
        raise TrainingError(
            f"the exported network differs from the live one by {difference:.2g} on {kind}, more "
            f"than {TOLERANCE:g}; nothing was written."
        )
    metadata = _describe(workdir, run, task.class_names) | {"difference": difference}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace(path, lambda temporary: write_model(temporary, metadata, program))
    except OSError as error:
        raise UserError(f"--out {path} cannot be written ({error.strerror}).") from error
    sizes = " and ".join(map(str, CHECKED))
    log(
        f"exported to {path}, {path.stat().st_size / 1e6:.1f} MB; on {kind}, in batches of "
        f"{sizes}, it differs from the live network by at most {difference:.2g}"
    )
    return 0


def make_program(run: Run) -> bytes:
    """Returns the network of a run, with its weights, as ``jax.export`` serializes it.

    Raises:
        UserError: if the network's code needs to know the batch size, or has kernels of its own.
    """
    experiment = run.experiment
    params = jax.device_get(run.params)  # NumPy arrays become constants of the program

    def call(images: jax.Array) -> dict[str, Any]:
        return predict_images(experiment.network, experiment.task, params, images)

    (batch,) = jax_export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, *experiment.task.input_shape), np.uint8)
    try:
        exported = jax_export.export(jax.jit(call), platforms=EXPORTED_PLATFORMS)(images)
    except Exception as error:  # whatever the network's code makes of a symbolic size
        raise UserError(
            f"the network cannot be exported for every batch size and platform ({shorten(error)}); "
            "its code must not need the number of images: say x.shape[0] for len(x)."
        ) from error
    program = bytes(exported.serialize())
    try:
        inspect_program(program)
    except ValueError as error:
        raise UserError(f"the network cannot be exported: {error}.") from error
    return program


def _images_to_check(run: Run) -> tuple[np.ndarray, str]:
    """Returns images for the comparison, as many as its batches need, and what they are."""
    experiment, count = run.experiment, sum(CHECKED)
    if experiment.data is None:
        random = np.random.default_rng(0)
        noise = random.integers(0, 256, (count, *experiment.task.input_shape), np.uint8)
        return noise, f"{count} images of noise (the data of the run are not to be read)"
    evaluator = Evaluator(experiment)
    split = evaluator.final_split
    indices = np.arange(count) % experiment.spec.counts[split]
    inputs = evaluator.visualize(run.params, split, indices).inputs
    images = np.round(np.clip(inputs, 0, 1) * 255).astype(np.uint8)
    return images, f"{count} {split} images"


def _compare(run: Run, program: bytes, images: np.ndarray) -> float:
    """Returns the largest difference of the exported from the live network."""
    live = live_call(run)
    exported = jax.jit(jax_export.deserialize(bytearray(program)).call)
    differences, start = [], 0
    for size in CHECKED:
        batch = images[start : start + size]
        start += size
        pairs = zip(*map(jax.tree.leaves, (live(batch), exported(batch))), strict=True)
        for expected, found in pairs:
            scale = np.maximum(np.abs(expected), 1)
            differences.append(np.max(np.abs(np.asarray(found) - expected) / scale, initial=0))
    return float(np.max(differences))


def _describe(workdir: Path, run: Run, class_names: Sequence[str]) -> dict[str, Any]:
    """Returns the metadata of a run's network."""
    experiment = run.experiment
    result = None
    if (workdir / SUMMARY).is_file():
        result = read_json(workdir / SUMMARY, ("result",), "train again")["result"]
    return {
        "class_names": list(class_names),
        "input_shape": list(experiment.task.input_shape),
        "image_shape": list(experiment.spec.arrays["images"][0]),
        "batch_size": experiment.config.train.eval_batch_size,
        "task": type(experiment.task).__name__,
        "data": experiment.spec.name,
        "step": run.step,
        "parameters": experiment.parameters,
        "result": result,
        "platforms": list(EXPORTED_PLATFORMS),
        "versions": {"stn_jax": stn_jax.__version__, "jax": jax.__version__},
        "exported": datetime.date.today().isoformat(),
    }
