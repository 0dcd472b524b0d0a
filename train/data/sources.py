"""Finds the data source for a name."""

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from train.checks import check
from train.data.archive import is_folder_of_arrays
from train.data.arrays import load_arrays
from train.data.dataset import DataError, Dataset, report
from train.data.folder import load_folder
from train.data.held_out import with_validation
from train.data.mnist import UnknownName, load_mnist, load_named
from train.run.progress import log

BUNDLED = Path(__file__).parent / "bundled" / "digits.npz"
"""The 10,000 + 2,000 real digits in the repository."""


VALID_FRACTION = 0.1
"""Fraction of each class held out for validation where neither data nor config say otherwise."""


@dataclass(frozen=True)
class Images:
    """Images with labels, by the name of a set or of a file."""

    name: str = "bundled"
    """bundled, mnist (or another tensorflow-datasets set), an .npz file, or a folder of images or
    of .npy files."""
    data_dir: str | None = None
    """Folder of prepared tensorflow-datasets data; None is ~/.cache/stn_jax."""
    manual_dir: str | None = None
    """Folder with the four original MNIST .gz files, for machines without internet access."""
    valid_fraction: float | None = None
    """Fraction of the training images for validation, which chooses the best checkpoint; None is
    a tenth where the data have no validation images of their own."""
    image_size: int = 0
    """Side that images are resized to; 0 requires the images of a folder to have one size."""
    memory_limit: int = 1000
    """Megabytes of images that lie in memory, on every device; larger data are read by index."""

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        check(
            self, "data", not_negative=("image_size", "memory_limit"), fraction=("valid_fraction",)
        )

    def build(self) -> Dataset:
        """Loads the images and holds out the validation set."""
        dataset, fraction = _read(self), self.valid_fraction
        if fraction is None:
            fraction = 0.0 if len(dataset.y_valid) else VALID_FRACTION
        return with_validation(dataset, fraction) if fraction else dataset


def load(config: Images) -> Dataset:
    """Loads the dataset of a config, and says what was found in it.

    ``config.name`` is ``"bundled"``, ``"mnist"``, the path of an ``.npz`` file, of a folder of
    ``.npy`` files or of a folder of images, or the name of a set of tensorflow-datasets.

    Args:
        config: which images.

    Returns:
        The images of the source as they are: undistorted, nothing held out for validation.

    Raises:
        DataError: if the data are missing or cannot be trained on.
    """
    dataset = _read(config)
    for line in report(dataset):
        log(line)
    return dataset


def _read(config: Images) -> Dataset:
    try:
        return _load_by_name(config)
    except OSError as error:
        raise DataError(f"{config.name} cannot be read ({error}).") from error
    except MemoryError as error:
        raise DataError(
            f"{config.name} does not fit into memory; lower --data.memory-limit, so that its "
            "images are read by index."
        ) from error


def _load_by_name(config: Images) -> Dataset:
    name, size, limit = config.name, config.image_size, config.memory_limit * 10**6
    data_dir = Path(config.data_dir) if config.data_dir else None
    if name == "bundled":
        return load_arrays(BUNDLED, name, size)
    if name == "mnist":
        manual_dir = Path(config.manual_dir) if config.manual_dir else None
        return load_mnist(name, data_dir, manual_dir, size, limit)
    path = Path(os.path.expanduser(name))
    if name and path.is_dir():
        load_large = load_arrays if is_folder_of_arrays(path) else load_folder
        return load_large(path, name, size, limit)
    if path.suffix.lower() == ".npz":
        return load_arrays(path, name, size, limit)
    if path.is_file():
        raise DataError(
            f"data.name={name!r} is a file that is not read; give an .npz file of arrays, or a "
            "folder of images; unpack an archive of them."
        )
    try:
        if not re.fullmatch(r"\w+(/[\w.-]+)?(:[\w.*]+)?", name):
            raise UnknownName(name)
        return load_named(name, data_dir, size, limit)
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
