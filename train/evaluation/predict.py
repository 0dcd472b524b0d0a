"""The verb ``predict``: labels, probabilities, thetas and rectified images of any images."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import jax
import numpy as np
from PIL import Image

from train.data.notes import Notes
from train.errors import UserError
from train.evaluation.evaluator import Run, check_batch_size, load_run
from train.evaluation.inputs import fit_to_input, read_inputs
from train.run.devices import replicate
from train.run.json_files import write_json
from train.run.progress import log
from train.step.step import Visualization, visualize
from train.tasks.classification import LabelledImages

TABLE, ROWS, RECTIFIED = "predictions.csv", "predictions.json", "rectified"

LONGEST_NAME = 200
"""Bytes of an image's name that the name of its rectified image has; systems allow 255 in all."""


def predict(sources: Sequence[str | Path], workdir: Path, out: Path, batch_size: int) -> int:
    """Writes ``predictions.csv``, ``predictions.json`` and ``rectified/*.png``.

    An image of the network's input size is used unchanged. Any other is resized to the size of the
    training images and centred on the canvas, without distortion. Where the folders of images bear
    the names of classes, or an archive has labels, the error is printed.

    Args:
        sources: image files, folders, or ``.npz`` files with an array x, images or x_test.
        workdir: work directory of a run.
        out: folder for the results; those of an earlier prediction are replaced.
        batch_size: images for each step; 0 uses the run's.

    Returns:
        The exit code.

    Raises:
        UserError: if images cannot be read or the folder cannot be written.
    """
    check_batch_size(batch_size)
    if not sources:
        raise UserError("no images were given; give image files, folders or an .npz.")
    paths = [Path(source) for source in sources]
    earlier = _check_out(out, paths)
    run, notes = load_run(workdir, data=False), Notes()
    task = run.experiment.task
    if not isinstance(task, LabelledImages):
        raise UserError(
            f"--workdir {workdir} holds a run of {type(task).__name__}; predict is for "
            "classification."
        )
    classes, image_shape = task.class_names, run.experiment.spec.arrays["images"][0]
    names: list[str] = []
    labels: list[str | None] = []
    images: list[np.ndarray] = []
    for image in read_inputs(paths, classes, out, notes):
        names.append(image.name)
        images.append(fit_to_input(image, task.input_shape, image_shape))
        labels.append(image.label)
    for line in notes.lines():
        log(line)
    if not images:
        raise UserError(f"there are no images in {', '.join(map(str, sources))}.")
    size = batch_size or run.experiment.config.train.eval_batch_size
    shown = _visualize_all(np.stack(images), run, size)
    rows = _make_rows(names, labels, shown, classes)

    try:
        _write(out, rows, shown, earlier)
    except OSError as error:
        raise UserError(
            f"--out {out} cannot be written ({error.strerror}); give another folder."
        ) from error
    written = "labels, thetas and rectified images" if shown.warps else "labels"
    log(f"{written} of {len(rows):,} images are in {out}")
    _show_error(rows)
    return 0


def _check_out(out: Path, sources: Sequence[Path]) -> list[Path]:
    """Returns the rectified images of an earlier prediction, which may be replaced.

    Raises:
        UserError: if the folder holds files of others, or images to predict.
    """
    for source in sources:
        if out.exists() and source.exists() and source.resolve().is_relative_to(out.resolve()):
            raise UserError(f"--out {out} holds the images {source}; give another folder.")
    if not any((out / name).exists() for name in (TABLE, ROWS, RECTIFIED)):
        return []
    found = list((out / RECTIFIED).glob("*"))
    try:
        rows = json.loads((out / ROWS).read_text())
        written = {row.get("rectified") for row in rows if row["label"] is not None}
        if {f"{RECTIFIED}/{path.name}" for path in found} <= written:
            return found
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        pass  # not what `_write` has written
    raise UserError(
        f"--out {out} holds files that are not those of a prediction; give another folder."
    )


def _write(out: Path, rows: list[dict[str, Any]], shown: Visualization, old: list[Path]) -> None:
    """Writes the results. The list of images comes before them, so that it knows all of them."""
    for path in old:
        path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ROWS, rows)
    with (out / TABLE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        _write_table(file, rows)
    if shown.warps:
        (out / RECTIFIED).mkdir(exist_ok=True)
        for row, features in zip(rows, shown.warps[0].features, strict=True):
            _write_image(out / row["rectified"], features)


def _make_rows(
    names: list[str], labels: list[str | None], shown: Visualization, classes: Sequence[str]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for i, (name, true_label) in enumerate(zip(names, labels, strict=True)):
        probabilities = [float(f"{value:.4g}") for value in shown.outputs["probabilities"][i]]
        label = int(np.argmax(shown.outputs["probabilities"][i]))
        row: dict[str, Any] = {
            "image": name,
            "label": classes[label],
            "probability": probabilities[label],
        }
        if true_label is not None:
            row["true_label"] = true_label
        if shown.warps:
            row["rectified"] = f"{RECTIFIED}/{i:05}_{_shorten(Path(name).stem)}.png"
            row["theta"] = [float(f"{value:.6g}") for value in shown.warps[0].theta[i]]
        row["probabilities"] = dict(zip(classes, probabilities, strict=True))
        rows.append(row)
    return rows


def _shorten(name: str) -> str:
    return name.encode(errors="surrogateescape")[:LONGEST_NAME].decode(errors="ignore")


def _write_table(file: TextIO, rows: list[dict[str, Any]]) -> None:
    single = ["image", "label", "probability"]
    single += [key for key in ("true_label", "rectified") if any(key in row for row in rows)]
    thetas = range(len(rows[0].get("theta", ())))
    classes = list(rows[0]["probabilities"])
    writer = csv.writer(file)
    writer.writerow(
        [*single, *(f"theta_{k}" for k in thetas), *(f"probability_{name}" for name in classes)]
    )
    for row in rows:
        probabilities = (row["probabilities"][name] for name in classes)
        writer.writerow(
            [*(row.get(key, "") for key in single), *row.get("theta", ()), *probabilities]
        )


def _write_image(path: Path, features: np.ndarray) -> None:
    pixels = np.round(np.clip(features, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] != 3 else pixels).save(path)


def _visualize_all(images: np.ndarray, run: Run, batch_size: int) -> Visualization:
    """Runs the network in batches; the last one is padded to avoid a second compilation."""
    network, task = run.experiment.network, run.experiment.task
    step = jax.jit(lambda params, x: visualize(network, task, params, x.astype(np.float32) / 255))
    size = min(batch_size, len(images))
    batches = []
    for start in range(0, len(images), size):
        indices = np.minimum(np.arange(start, start + size), len(images) - 1)
        batches.append(
            jax.device_get(step(run.params, replicate(images[indices], run.experiment.mesh)))
        )
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[: len(images)], *batches)


def _show_error(rows: list[dict[str, Any]]) -> None:
    """Prints the error over the images whose class is known, if there are any."""
    known = [row for row in rows if "true_label" in row]
    if not known:
        return
    wrong = sum(row["label"] != row["true_label"] for row in known)
    others = len(rows) - len(known)
    rest = f"; {others:,} more are in no folder of a class" if others else ""
    log(f"error {100 * wrong / len(known):.2f} % ({wrong:,} of {len(known):,} images{rest})")
