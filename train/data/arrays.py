"""Datasets from an ``.npz`` file of arrays."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from train.data.dataset import DataError, Dataset
from train.data.images import as_images, stack

_REQUIRED = ("x_train", "y_train", "x_test", "y_test")
_OPTIONAL = ("x_valid", "y_valid", "class_names")

_UNREADABLE = (
    *(OSError, EOFError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Exceptions of np.load for files that are damaged, pickled or not archives."""


def load_arrays(path: Path, name: str, image_size: int = 0) -> Dataset:
    """Reads ``x_train, y_train, x_test, y_test`` from an ``.npz`` file.

    Args:
        path: the file. Images are ``(n, h, w)`` or ``(n, h, w, c)``, uint8, or floats in [0, 1],
            which are rounded to 8 bits. Labels are integers ``(n,)`` from 0 on. Optional arrays
            are ``x_valid`` and ``y_valid``, and ``class_names``, strings; without names each label
            from 0 to the largest must occur in ``y_train``.
        name: name of the dataset.
        image_size: resize images to this square; 0 keeps their size.

    Returns:
        The dataset.

    Raises:
        DataError: if an array is missing, or has the wrong shape, dtype or values.
    """
    arrays = _read_archive(path)
    if ("x_valid" in arrays) != ("y_valid" in arrays):
        raise DataError(f"{path} has only one of x_valid and y_valid; give both or none.")

    fields = {}
    for split in ("train", "valid", "test"):
        x, y = f"x_{split}", f"y_{split}"
        if x in arrays:
            fields[x] = as_images(f"{path}: {x}", arrays[x])
            fields[y] = _check_labels(f"{path}: {y}", arrays[y])
            if image_size and len(fields[x]):
                fields[x] = stack(((x, image) for image in fields[x]), image_size)
    fields.setdefault("x_valid", fields["x_train"][:0])
    fields.setdefault("y_valid", fields["y_train"][:0])
    return Dataset(
        name=name, class_names=_get_class_names(path, arrays, fields["y_train"]), **fields
    )


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"{path} does not exist ({path.absolute()}); check data.name.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            keys = archive.files
            arrays = {key: archive[key] for key in keys if key in _REQUIRED + _OPTIONAL}
    except _UNREADABLE as error:
        raise DataError(
            f"{path} cannot be read as an .npz file of plain arrays ({error}); "
            "write it with np.savez or np.savez_compressed."
        ) from error
    missing = [key for key in _REQUIRED if key not in arrays]
    if missing:
        raise DataError(
            f"{path} has no array {', '.join(missing)}; it has {', '.join(keys) or 'none'}, "
            f"and must have {', '.join(_REQUIRED)} (np.savez(path, x_train=...))."
        )
    return arrays


def _check_labels(name: str, labels: np.ndarray) -> np.ndarray:
    """Checks labels and returns them as int32 ``(n,)``."""
    if labels.ndim != 1:
        raise DataError(
            f"{name} has shape {labels.shape}; it must be (n,), one integer for each image. "
            "To convert one-hot rows: y.argmax(axis=1)."
        )
    if labels.dtype.kind not in "iu":
        raise DataError(f"{name} is {labels.dtype}; labels must be integers: y.astype(np.int32).")
    limits = np.iinfo(np.int32)
    if labels.size and not limits.min <= labels.min() <= labels.max() <= limits.max:
        raise DataError(f"{name} holds label {labels.max()}; labels must count classes from 0.")
    return labels.astype(np.int32)


def _get_class_names(
    path: Path, arrays: dict[str, np.ndarray], labels: np.ndarray
) -> tuple[str, ...]:
    if "class_names" in arrays:
        names = arrays["class_names"]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise DataError(
                f"{path}: class_names is {names.dtype} {names.shape}; it must be strings, "
                "(number of classes,)."
            )
        return tuple(names.tolist())
    present = np.unique(labels)
    if not np.array_equal(present, np.arange(len(present))):
        problem = "negative" if present[0] < 0 else "not contiguous"
        raise DataError(
            f"{path}: y_train has labels that are {problem}: found {len(present)} classes between "
            f"{present[0]} and {present[-1]}; labels must be 0 to {len(present) - 1}. Correct or "
            "renumber them (np.unique(y, return_inverse=True)[1]), or give class_names."
        )
    return tuple(map(str, present.tolist()))
