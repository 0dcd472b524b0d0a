"""The verb ``predict``: labels, thetas and rectified images of any images."""

import csv
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
from PIL import Image

from train.data.images import SUFFIXES, as_images, read_image
from train.errors import UserError
from train.evaluation.evaluator import Run, load_run
from train.run.devices import replicate
from train.run.progress import log
from train.step.step import Visualization, visualize
from train.tasks.classification import LabelledImages

KEYS = ("x", "images", "x_test")
"""Names that an array of images may have in an ``.npz`` file."""


def predict(sources: Sequence[str], workdir: Path, out: Path, batch_size: int) -> int:
    """Writes ``predictions.csv``, ``predictions.json`` and ``rectified/*.png``.

    An image of the network's input size is used unchanged. Any other is resized to the size of the
    training images and centred on the canvas, without distortion.

    Args:
        sources: image files, folders, or ``.npz`` files with an array x, images or x_test.
        workdir: work directory of a run.
        out: folder for the results.
        batch_size: images for each step; 0 uses the run's.

    Returns:
        The exit code.

    Raises:
        UserError: if images cannot be read or the folder cannot be written.
    """
    if batch_size < 0:
        raise UserError(
            f"--batch-size {batch_size} is not allowed; it must be 0 (the run's) or above."
        )
    if not sources:
        raise UserError("no images were given; give image files, folders or an .npz.")
    run = load_run(workdir, data=False)
    if not isinstance(run.experiment.task, LabelledImages):
        raise UserError(
            f"--workdir {workdir} holds a run of {type(run.experiment.task).__name__}; predict is "
            "for classification."
        )
    names, images = _read_all(sources, run)
    shown = _visualize_all(images, run, batch_size or run.experiment.config.train.eval_batch_size)
    rows = _make_rows(names, shown, run.experiment.spec.info["class_names"])

    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "predictions.json").write_text(json.dumps(rows, indent=2) + "\n")
        with (out / "predictions.csv").open("w", newline="") as file:
            _write_csv(file, rows)
        if shown.warps:
            (out / "rectified").mkdir(exist_ok=True)
            for row, features in zip(rows, shown.warps[0].features, strict=True):
                _write_image(out / row["rectified"], features)
    except OSError as error:
        raise UserError(
            f"--out {out} cannot be written ({error.strerror}); give another folder."
        ) from error
    written = "labels, thetas and rectified images" if shown.warps else "labels"
    log(f"{written} of {len(rows):,} images are in {out}")
    return 0


def _read_all(sources: Sequence[str], run: Run) -> tuple[list[str], np.ndarray]:
    names, images = [], []
    for source in sources:
        for name, image in _read_source(Path(source), run):
            names.append(name)
            images.append(image)
    if not images:
        raise UserError(f"there are no images in {', '.join(sources)}.")
    return names, np.stack(images)


def _read_source(path: Path, run: Run) -> Iterator[tuple[str, np.ndarray]]:
    """Yields names and uint8 images ``(h, w, c)`` of the network's input size."""
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES):
            yield from _read_source(file, run)
    elif not path.is_file():
        raise UserError(f"{str(path)!r} does not exist; give image files, folders or an .npz.")
    elif path.suffix == ".npz":
        for i, image in enumerate(_read_npz(path)):
            yield f"{path}[{i}]", _fit_to_input(f"{path}[{i}]", image, run)
    else:
        yield str(path), _fit_to_input(str(path), read_image(path), run)


def _read_npz(path: Path) -> np.ndarray:
    try:
        with np.load(path) as arrays:
            key = next((key for key in KEYS if key in arrays), None)
            images = None if key is None else arrays[key]
            keys = ", ".join(arrays) or "nothing"
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{str(path)!r} cannot be read as an .npz file of arrays.") from error
    if images is None:
        raise UserError(
            f"{str(path)!r} holds {keys}; name the array of images {', '.join(KEYS[:-1])} or "
            f"{KEYS[-1]}."
        )
    return as_images(f"{path}: {key}", images)


def _fit_to_input(name: str, image: np.ndarray, run: Run) -> np.ndarray:
    height, width, channels = run.experiment.task.input_shape
    small = run.experiment.spec.arrays["images"][0]
    if image.shape[2] == 3 and channels == 1:
        image = np.asarray(Image.fromarray(image).convert("L"))[..., None]
    if image.shape[2] == 1 and channels == 3:
        image = np.repeat(image, 3, axis=2)
    if image.shape[2] != channels:
        raise UserError(f"{name} has {image.shape[2]} channels; the network needs {channels}.")
    if image.shape[:2] not in ((height, width), (small[0], small[1])):
        planes = [Image.fromarray(plane) for plane in np.moveaxis(image, -1, 0)]
        size = small[1], small[0]
        resized = [plane.resize(size, Image.Resampling.BILINEAR) for plane in planes]
        image = np.stack([np.asarray(plane) for plane in resized], axis=-1)
    extra_rows, extra_columns = height - image.shape[0], width - image.shape[1]
    top, left = extra_rows // 2, extra_columns // 2
    return np.pad(image, ((top, extra_rows - top), (left, extra_columns - left), (0, 0)))


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


def _make_rows(names: list[str], shown: Visualization, classes: list[str]) -> list[dict]:
    rows: list[dict] = []
    probabilities = shown.outputs["probabilities"]
    for i, name in enumerate(names):
        label = int(np.argmax(probabilities[i]))
        row = {
            "image": name,
            "label": classes[label],
            "probability": float(f"{probabilities[i, label]:.4g}"),
        }
        if shown.warps:
            row["theta"] = [float(f"{value:.6g}") for value in shown.warps[0].theta[i]]
            row["rectified"] = f"rectified/{i:05}_{Path(name).stem}.png"
        rows.append(row)
    return rows


def _write_csv(file: object, rows: list[dict]) -> None:
    thetas = range(len(rows[0].get("theta", ())))
    writer = csv.writer(file)  # type: ignore[arg-type]
    flat = [name for name in rows[0] if name != "theta"]
    writer.writerow([*flat, *(f"theta_{k}" for k in thetas)])
    for row in rows:
        writer.writerow([*(row[name] for name in flat), *(row["theta"][k] for k in thetas)])


def _write_image(path: Path, features: np.ndarray) -> None:
    pixels = np.round(np.clip(features, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] != 3 else pixels).save(path)
