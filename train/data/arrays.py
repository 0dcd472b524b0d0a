"""Datasets from an ``.npz`` file of arrays."""

import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from train.data.dataset import DataError, Dataset
from train.data.held_out import make_dataset
from train.data.images import as_images, stack
from train.data.labels import read_labels, to_classes
from train.data.notes import Notes
from train.data.sets import SPLITS, find_array

REQUIRED = ("x_train", "y_train")
NAMES = "class_names"

_UNREADABLE = (
    *(OSError, EOFError, MemoryError, RuntimeError, SyntaxError, TypeError, ValueError),
    *(zipfile.BadZipFile, zlib.error),
)
"""Exceptions of np.load for files that are damaged, pickled or not archives."""


def load_arrays(path: Path, name: str, image_size: int = 0) -> Dataset:
    """Reads ``x_train, y_train, x_test, y_test`` from an ``.npz`` file.

    The sets may also be called ``val``, ``validation`` or ``dev`` and ``testing``, the arrays
    ``images`` and ``labels``, in either order and any case: ``X_train``, ``val_labels``. Without
    a test set, a fixed fifth of each class is held out for testing.

    Args:
        path: the file. Images are ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, h * h)``, uint8, or
            floats in [0, 1], which are rounded to 8 bits. Labels are integers from 0 on or
            strings, ``(n,)`` or ``(n, 1)``. Optional arrays are ``x_valid`` and ``y_valid``;
            ``groups_train``, whose images of one value stay on one side of a split; and
            ``class_names``, strings; without names each label from 0 to the largest must occur in
            ``y_train``.
        name: name of the dataset.
        image_size: resize images to this square; 0 keeps their size.

    Returns:
        The dataset.

    Raises:
        DataError: if an array is missing, or has the wrong shape, dtype or values.
    """
    notes = Notes()
    arrays, keys = read_archive(path, (*REQUIRED, "groups_train"), notes)
    for split in ("valid", "test"):
        if (f"x_{split}" in arrays) != (f"y_{split}" in arrays):
            raise DataError(f"{path} has only one of x_{split} and y_{split}; give both or none.")

    images, labels = {}, {}
    for split in SPLITS:
        x, y = f"x_{split}", f"y_{split}"
        if x in arrays:
            images[split] = as_images(f"{path}: {keys[x]}", arrays[x], notes)
            labels[y] = read_labels(f"{path}: {keys[y]}", arrays[y])
            if image_size and len(images[split]):
                images[split] = stack(((x, image) for image in images[split]), image_size)
    labels, class_names = to_classes(str(path), labels, arrays.get(NAMES))
    return make_dataset(
        name,
        class_names,
        {split: (x, labels[f"y_{split}"]) for split, x in images.items()},
        groups=_read_groups(path, arrays),
        notes=notes,
    )


def read_archive(
    path: Path, required: Collection[str], notes: Notes
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Reads the arrays of a dataset from an ``.npz`` file.

    Args:
        path: the file.
        required: arrays that it must have, ``x_train`` and so on; those called ``groups`` are
            optional.
        notes: takes note of arrays that are not used.

    Returns:
        The arrays by the names that this code uses, and the names in the file.

    Raises:
        DataError: if the file cannot be read, or an array is missing or there are two of it.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist ({path.absolute()}); check data.name.")
    unreadable = f"{path} cannot be read as an .npz file of plain arrays"
    remedy = "write it with np.savez or np.savez_compressed."
    arrays: dict[str, np.ndarray] = {}
    keys: dict[str, str] = {}
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise DataError(f"{unreadable} (it is a single array, as np.save writes); {remedy}")
            names = archive.files
            for key in names:
                meant = key if key == NAMES else find_array(key)
                if meant in keys:
                    raise DataError(f"{path} has {keys[meant]} and {key}; which one is {meant}?")
                if meant is None or (meant.startswith("groups") and meant not in required):
                    notes.count(f"arrays of {path} are not used", key)
                    continue
                keys[meant] = key
                arrays[meant] = _read_array(path, archive, key)
    except DataError:
        raise
    except _UNREADABLE as error:
        raise DataError(f"{unreadable} ({error}); {remedy}") from error
    missing = [key for key in required if key not in arrays and not key.startswith("groups")]
    if missing:
        raise DataError(
            f"{path} has no array {', '.join(missing)}; it has {', '.join(names) or 'none'}, "
            f"and must have {', '.join(REQUIRED)}, and may have x_test, y_test, x_valid, y_valid "
            "(np.savez(path, x_train=...))."
        )
    return arrays, keys


def _read_array(path: Path, archive: np.lib.npyio.NpzFile, key: str) -> np.ndarray:
    try:
        return archive[key]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        cure = "x.astype(np.uint8)" if (find_array(key) or "")[0:1] == "x" else "y.astype(str)"
        raise DataError(
            f"{path} cannot be read as an .npz file of plain arrays ({key} holds Python objects, "
            f"dtype object); make them plain, say {cure}."
        ) from error


def _read_groups(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray | None:
    groups, count = arrays.get("groups_train"), len(arrays["y_train"])
    if groups is None:
        return None
    if groups.shape not in ((count,), (count, 1)):
        raise DataError(
            f"{path}: groups_train has shape {groups.shape}; it must be ({count},), a number or a "
            "word for each training image."
        )
    return np.unique(groups.ravel(), return_inverse=True)[1].astype(np.int64)
