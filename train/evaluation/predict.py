"""The verb ``predict``: labels, probabilities, thetas and rectified images of any images."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image

from train.data.notes import Notes
from train.errors import UserError
from train.evaluation.inputs import fit_to_input, read_inputs
from train.evaluation.predictor import Predictor, check_batch_size, predict_batches
from train.run.json_files import write_json
from train.run.progress import log

TABLE, ROWS, RECTIFIED = "predictions.csv", "predictions.json", "rectified"

LONGEST_NAME = 200
"""Bytes of an image's name that the name of its rectified image has; systems allow 255 in all."""

MAX_IMAGES = 1_000_000
"""Images of one call; all results are in memory before any is written."""

_LONGEST_LINE = 1 << 16  # letters of an earlier ``predictions.json``


def predict(
    sources: Sequence[str | Path],
    out: Path,
    batch_size: int,
    *,
    workdir: Path | None = None,
    model: Path | None = None,
) -> int:
    """Writes ``predictions.csv``, ``predictions.json`` and ``rectified/*.png``.

    An image of the network's input size is used unchanged. Any other is resized to the size of the
    training images and centred on the canvas, without distortion. Where the folders of images bear
    the names of classes, or an archive has labels, the error is printed.

    Args:
        sources: image files, folders, or ``.npz`` files with an array x, images or x_test.
        out: folder for the results; those of an earlier prediction are replaced.
        batch_size: images for each step; 0 uses the run's.
        workdir: work directory of a run; or else
        model: a file that ``export`` has written, for which neither Flax nor Orbax is needed.

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
    predictor, notes = _load(workdir, model), Notes()
    classes = predictor.class_names
    names: list[str] = []
    labels: list[str | None] = []

    def images() -> Iterator[np.ndarray]:
        for image in read_inputs(paths, classes, out, notes):
            if len(names) == MAX_IMAGES:
                raise UserError(
                    f"there are more than {MAX_IMAGES:,} images; predict them in parts."
                )
            names.append(image.name)
            labels.append(image.label)
            yield fit_to_input(image, predictor.input_shape, predictor.image_shape)

    rows: list[dict[str, Any]] = []
    rectified: list[np.ndarray] = []
    for found in predict_batches(predictor, images(), batch_size):
        rows += _make_rows(names, labels, len(rows), found, classes)
        if found["warps"]:
            rectified += map(_to_pixels, found["warps"][0]["features"])
    for line in notes.lines():
        log(line)
    if not rows:
        raise UserError(f"there are no images in {', '.join(map(str, sources))}.")
    try:
        _write(out, rows, rectified, earlier)
    except OSError as error:
        raise UserError(
            f"--out {out} cannot be written ({error.strerror}); give another folder."
        ) from error
    written = "labels, thetas and rectified images" if rectified else "labels"
    log(f"{written} of {len(rows):,} images are in {out}")
    _show_error(rows)
    return 0


def _load(workdir: Path | None, model: Path | None) -> Predictor:
    """Returns the network of a work directory or file, importing no more than it needs."""
    if (workdir is None) == (model is None):
        raise UserError("predict needs --workdir DIR of a run, or --model FILE of an export.")
    if model is not None:
        from train.evaluation.export_file import read_predictor

        return read_predictor(model)
    from train.evaluation.live import live_predictor

    assert workdir is not None
    return live_predictor(workdir)


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
        if {f"{RECTIFIED}/{path.name}" for path in found} <= _read_rectified(out / ROWS):
            return found
    except (OSError, ValueError, TypeError, RecursionError):
        pass  # not what `_write` has written
    raise UserError(
        f"--out {out} holds files that are not those of a prediction; give another folder."
    )


def _read_rectified(path: Path) -> set[str]:
    """Returns the rectified images that an earlier prediction lists; a line holds one field.

    Raises:
        ValueError: if the file is not that of a prediction.
    """
    fields = {"image": 0, "label": 0}
    rectified: set[str] = set()
    with path.open(encoding="utf-8") as file:
        for line in iter(lambda: file.readline(_LONGEST_LINE), ""):
            key, _, value = line.strip().rstrip(",").partition(": ")
            name = key.strip('"')
            if name in fields:
                fields[name] += 1
            if name == "rectified":
                rectified.add(json.loads(value))
            if len(rectified) > MAX_IMAGES:
                raise ValueError
    if not 0 < fields["image"] <= fields["label"]:
        raise ValueError
    return rectified


def _write(
    out: Path, rows: list[dict[str, Any]], rectified: list[np.ndarray], old: list[Path]
) -> None:
    """Writes the results. The list of images comes before them, so that it knows all of them."""
    for path in old:
        path.unlink()
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ROWS, rows)
    with (out / TABLE).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        _write_table(file, rows)
    if rectified:
        (out / RECTIFIED).mkdir(exist_ok=True)
        for row, pixels in zip(rows, rectified, strict=True):
            Image.fromarray(pixels).save(out / row["rectified"])


def _make_rows(
    names: list[str], labels: list[str | None], start: int, found: Any, classes: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yields the rows of a batch, whose first image is the one of number ``start``."""
    for i, each in enumerate(found["probabilities"]):
        name, true_label = names[start + i], labels[start + i]
        probabilities = [float(f"{value:.4g}") for value in each]
        label = int(np.argmax(each))
        row: dict[str, Any] = {
            "image": name,
            "label": classes[label],
            "probability": probabilities[label],
        }
        if true_label is not None:
            row["true_label"] = true_label
        if found["warps"]:
            row["rectified"] = f"{RECTIFIED}/{start + i:05}_{_shorten(Path(name).stem)}.png"
            row["theta"] = [float(f"{value:.6g}") for value in found["warps"][0]["theta"][i]]
        row["probabilities"] = dict(zip(classes, probabilities, strict=True))
        yield row


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


def _to_pixels(features: np.ndarray) -> np.ndarray:
    """Returns what a transformer made of an image as bytes: colour, or its first channel."""
    pixels: np.ndarray = np.round(np.clip(features, 0, 1) * 255).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] != 3 else pixels


def _show_error(rows: list[dict[str, Any]]) -> None:
    """Prints the error over the images whose class is known, if there are any."""
    known = [row for row in rows if "true_label" in row]
    if not known:
        return
    wrong = sum(row["label"] != row["true_label"] for row in known)
    others = len(rows) - len(known)
    rest = f"; {others:,} more are in no folder of a class" if others else ""
    log(f"error {100 * wrong / len(known):.2f} % ({wrong:,} of {len(known):,} images{rest})")
