"""Datasets from an ``.npz`` file of arrays, or from a folder of ``.npy`` files."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from train.data.archive import NAMES, REQUIRED, read_archive
from train.data.dataset import DataError, Dataset, is_lazy
from train.data.held_out import make_dataset
from train.data.images import as_images, stack
from train.data.labels import read_labels, to_classes
from train.data.lazy_images import lazy_array_images
from train.data.notes import Notes
from train.data.sets import SPLITS


def load_arrays(
    path: Path, name: str, image_size: int = 0, memory_limit: int | None = None
) -> Dataset:
    """Reads ``x_train, y_train, x_test, y_test`` from an ``.npz`` file.

    The sets may also be called ``val``, ``validation`` or ``dev`` and ``testing``, the arrays
    ``images`` and ``labels``, in either order and any case: ``X_train``, ``val_labels``. Without
    a test set, a fixed fifth of each class is held out for testing.

    Args:
        path: the file or folder. Images are ``(n, h, w)``, ``(n, h, w, c)`` or ``(n, h * h)``,
            uint8, or floats in [0, 1], which are rounded to 8 bits. Labels are integers from 0 on
            or strings, ``(n,)`` or ``(n, 1)``. Optional arrays are ``x_valid`` and ``y_valid``;
            ``groups_train``, whose images of one value stay on one side of a split; and
            ``class_names``, strings; without names each label from 0 to the largest must occur in
            ``y_train``.
        name: name of the dataset.
        image_size: resize images to this square; 0 keeps their size.
        memory_limit: bytes of images; if there are more, they are read by index. None reads all.

    Returns:
        The dataset.

    Raises:
        DataError: if an array is missing, or has the wrong shape, dtype or values.
    """
    notes = Notes()
    arrays, keys = read_archive(path, (*REQUIRED, "groups_train"), notes, memory_limit)
    for split in ("valid", "test"):
        if (f"x_{split}" in arrays) != (f"y_{split}" in arrays):
            raise DataError(f"{path} has only one of x_{split} and y_{split}; give both or none.")

    images: dict[str, Any] = {}
    labels: dict[str, np.ndarray] = {}
    for split in SPLITS:
        x, y = f"x_{split}", f"y_{split}"
        if x not in arrays:
            continue
        labels[y] = read_labels(f"{path}: {keys[y]}", arrays[y])
        resized = len(arrays[x]) * image_size**2 * math.prod(arrays[x].shape[3:])
        if is_lazy(arrays[x]) or (memory_limit is not None and resized > memory_limit):
            images[split] = lazy_array_images(f"{path}: {keys[x]}", arrays[x], image_size, notes)
            continue
        images[split] = as_images(f"{path}: {keys[x]}", arrays[x], notes)
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
