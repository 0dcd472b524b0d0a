"""Finds the data source for a name."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from train.data.arrays import load_arrays
from train.data.dataset import DataError, Dataset
from train.data.folder import load_folder
from train.data.held_out import with_validation
from train.data.mnist import UnknownName, load_mnist, load_named
from train.run.progress import log

if TYPE_CHECKING:
    from train.config.parts import DataConfig

BUNDLED = Path(__file__).parent / "bundled" / "digits.npz"
"""The 10,000 + 2,000 real digits in the repository."""


def load(config: DataConfig) -> Dataset:
    """Loads the dataset of a config, and says how many images each set has and what is not used.

    ``config.name`` is ``"bundled"``, ``"mnist"``, the path of an ``.npz`` file or of a folder of
    images, or the name of a set of tensorflow-datasets.

    Args:
        config: uses ``name``, ``data_dir``, ``manual_dir``, ``image_size`` and ``valid_fraction``.

    Returns:
        The dataset, undistorted.

    Raises:
        DataError: if the data are missing or cannot be trained on.
    """
    try:
        dataset = _load_by_name(config)
    except OSError as error:
        raise DataError(f"{config.name} cannot be read ({error}).") from error
    if config.valid_fraction:
        dataset = with_validation(dataset, config.valid_fraction)
    for line in (dataset.describe(), *dataset.notes):
        log(line)
    return dataset


def _load_by_name(config: DataConfig) -> Dataset:
    name, size = config.name, config.image_size
    data_dir = Path(config.data_dir) if config.data_dir else None
    if name == "bundled":
        return load_arrays(BUNDLED, name, size)
    if name == "mnist":
        manual_dir = Path(config.manual_dir) if config.manual_dir else None
        return load_mnist(name, data_dir, manual_dir, size)
    path = Path(os.path.expanduser(name))
    if path.suffix.lower() == ".npz":
        return load_arrays(path, name, size)
    if name and path.is_dir():
        return load_folder(path, name, size)
    if path.is_file():
        raise DataError(
            f"data.name={name!r} is a file that is not read; give an .npz file of arrays, or a "
            "folder of images; unpack an archive of them."
        )
    try:
        if not re.fullmatch(r"\w+(/[\w.-]+)?(:[\w.*]+)?", name):
            raise UnknownName(name)
        return load_named(name, data_dir, size)
    except UnknownName as error:
        raise DataError(_explain_unknown_name(name)) from error


def _explain_unknown_name(name: str) -> str:
    import tensorflow_datasets as tfds

    known = ["bundled", "mnist", *tfds.list_builders(with_community_datasets=False)]
    near = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {near[0]!r}? Otherwise " if near else ""
    return (
        f"data.name={name!r} is unknown and no such folder exists; {guess}choose 'bundled', "
        "'mnist', the path of an .npz file, the path of a folder of images by class, or a set of "
        "tensorflow-datasets, such as 'fashion_mnist'."
    )
