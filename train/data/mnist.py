"""MNIST and other sets of tensorflow-datasets, without TensorFlow."""

import contextlib
import functools
import logging
import math
import os
import urllib.request
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from train.data.dataset import DataError, Dataset
from train.data.held_out import make_dataset
from train.data.idx import MAX_BYTES, MNIST, find_mnist
from train.data.images import check_bytes, stack
from train.data.lazy_images import lazy_source_images
from train.data.notes import Notes
from train.data.progress import track
from train.errors import shorten

MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
"""The mirror of MNIST that tensorflow-datasets uses."""

CACHE = Path("~/.cache/stn_jax")
"""Folder of prepared data if ``data.data_dir`` is not given."""

_CHUNK = 500  # records read at a time; twice as fast as one by one


class UnknownName(LookupError):
    """A name that is unknown to tensorflow-datasets."""


def load_mnist(
    name: str,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    image_size: int = 0,
    memory_limit: int | None = None,
) -> Dataset:
    """Reads the 70,000 digits of MNIST, preparing them on first use.

    Args:
        name: name of the dataset.
        data_dir: folder of the prepared data; None is `CACHE`.
        manual_dir: folder with the four original files, packed or unpacked; None downloads them.
            Ignored if the data are already prepared.
        image_size: resize images to this square; 0 keeps their size.
        memory_limit: bytes of images; if there are more, they are read by index. None reads all.

    Returns:
        60,000 training and 10,000 test images.

    Raises:
        DataError: if the original files are missing, damaged or cannot be downloaded, or
            ``data_dir`` cannot be written.
    """
    tfds = _tensorflow_datasets()
    from train.data.mnist_builder import MnistIdx

    folder = (data_dir or CACHE).expanduser()
    with _explain_errors(
        f"MNIST cannot be prepared in {folder}", "choose another --data.data-dir."
    ):
        make_builder = functools.partial(MnistIdx, data_dir=folder, file_format="array_record")
        with _silent():
            builder = make_builder()
            prepared = builder.is_prepared()
        if not prepared:
            originals = manual_dir.expanduser() if manual_dir else _download(folder / "downloads")
            find_mnist(originals)  # here, since tensorflow-datasets would wrap its errors
            config = tfds.download.DownloadConfig(manual_dir=originals)
            with _silent():
                builder = _prepare(make_builder, download_config=config)
    return _read_splits(name, builder, image_size, memory_limit)


def load_named(
    name: str,
    data_dir: Path | None = None,
    image_size: int = 0,
    memory_limit: int | None = None,
) -> Dataset:
    """Reads an image classification set of tensorflow-datasets, preparing it if possible.

    Preparing a set often requires TensorFlow; reading a prepared one never does.

    Args:
        name: its name in tensorflow-datasets, such as ``"cifar10"`` or ``"emnist/letters"``.
        data_dir: folder of the prepared data; None is `CACHE`.
        image_size: resize images to this square; 0 requires images of one size.
        memory_limit: bytes of images; if there are more, they are read by index. None reads all.

    Returns:
        Its ``train`` and ``test`` splits, with ``validation`` for a missing ``test``.

    Raises:
        UnknownName: if there is no such set.
        DataError: if it cannot be prepared or read, or has no images with labels.
    """
    tfds = _tensorflow_datasets()
    folder = (data_dir or CACHE).expanduser()
    remedy = (
        f"prepare it on a machine with TensorFlow and internet access (tfds build {name} "
        "--file_format=array_record --data_dir=DIR) and give --data.data-dir DIR."
    )
    with _explain_errors(
        f"{name} is not prepared in {folder} and cannot be prepared on this machine", remedy
    ):
        make_builder = functools.partial(
            tfds.builder, name, data_dir=folder, file_format="array_record"
        )
        try:
            with _silent():
                builder = make_builder()
                prepared = builder.is_prepared()
        except tfds.core.DatasetNotFoundError as error:
            raise UnknownName(name) from error
        if not prepared:
            builder = _prepare(make_builder)
    return _read_splits(name, builder, image_size, memory_limit)


def _prepare(make_builder: Callable[[], Any], **options: Any) -> Any:
    """Returns the builder of a set that is prepared now, by this process or, meanwhile, another."""
    builder = make_builder()
    try:
        builder.download_and_prepare(**options)
    except Exception:
        builder = make_builder()
        if not builder.is_prepared():
            raise
    return builder


def _tensorflow_datasets() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise DataError(
            f"tensorflow-datasets cannot be imported ({error}); install the training extra: "
            "pip install 'stn-jax[train]'."
        ) from error
    return tensorflow_datasets


def _download(folder: Path) -> Path:
    """Downloads the original files that are missing; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in (file for files in MNIST.values() for file in files):
        url, path = f"{MIRROR}{file.name}.gz", folder / f"{file.name}.gz"
        if path.exists():
            continue
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            with urllib.request.urlopen(url, timeout=30) as response:
                part.write_bytes(response.read(MAX_BYTES))
        except OSError as error:
            raise DataError(
                f"cannot download {url} ({shorten(error, 200)}); without internet access, put "
                "MNIST's four original .gz files into a folder and give --data.manual-dir FOLDER."
            ) from error
        os.replace(part, path)
    return folder


def _read_splits(name: str, builder: Any, image_size: int, memory_limit: int | None) -> Dataset:
    features, splits = builder.info.features, set(builder.info.splits)
    test = "test" if "test" in splits else "validation"
    complete = {"train", test} <= splits and {"image", "label"} <= set(features)
    names = getattr(features["label"], "names", None) if complete else None
    if names is None:
        raise DataError(
            f"{name} has splits {sorted(splits)} and features {sorted(features)}; it must have "
            "'train' and 'test' or 'validation', with 'image' and a class 'label'."
        )
    sources = {"train": "train", "test": test}
    if "validation" in splits - {test}:
        sources["valid"] = "validation"
    notes, sets = Notes(), {}
    for split in sorted(splits - set(sources.values())):
        notes.count(f"splits of {name} are not used", split)
    for key, split in sources.items():
        with _explain_errors(
            f"{name} in {builder.data_dir} cannot be read", "delete it and try again."
        ):
            sets[key] = _read_split(builder, split, image_size, memory_limit, sources.values())
    return make_dataset(name, names, sets, notes=notes)


def _read_split(
    builder: Any, split: str, image_size: int, memory_limit: int | None, splits: Collection[str]
) -> tuple[Any, np.ndarray]:
    """Returns images and labels of a split; images are lazy if those of all splits are too many."""
    with _silent():
        images = lazy_source_images(split, builder.as_data_source(split=split), image_size)
    count = sum(builder.info.splits[each].num_examples for each in splits)
    labels: list[int] = []
    if memory_limit is None or count * math.prod(images.row_shape) <= memory_limit:
        with _silent():
            stacked = stack(_read_images(builder, split, labels), image_size)
        return stacked, np.asarray(labels, np.int32)
    without = {"image": _tensorflow_datasets().decode.SkipDecoding()}
    with _silent():
        source = builder.as_data_source(split=split, decoders=without)
        for indices in _chunks(len(source), f"Reading {split} labels"):
            labels += [int(example["label"]) for example in source.__getitems__(indices)]
    return images, np.asarray(labels, np.int32)


def _read_images(builder: Any, split: str, labels: list[int]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the images of a split and appends their labels."""
    source = builder.as_data_source(split=split)
    for indices in _chunks(len(source), f"Reading {split} images"):
        for i, example in zip(indices, source.__getitems__(indices), strict=True):
            labels.append(int(example["label"]))
            yield (name := f"{split} example {i}"), check_bytes(name, example["image"])


def _chunks(count: int, title: str) -> Iterator[range]:
    for start in track(range(0, count, _CHUNK), title, few=5):
        yield range(start, min(start + _CHUNK, count))


@contextlib.contextmanager
def _explain_errors(what: str, remedy: str) -> Iterator[None]:
    """Turns any exception of tensorflow-datasets into one line that says what to do."""
    try:
        yield
    except (DataError, UnknownName):
        raise
    except Exception as error:
        raise DataError(f"{what} ({shorten(error, 200)}); {remedy}") from error


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silences output of tensorflow-datasets; progress and errors are reported here."""
    tfds, logger = _tensorflow_datasets(), logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    tfds.disable_progress_bar()
    try:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
            yield
    finally:
        logger.setLevel(level)
        tfds.enable_progress_bar()
