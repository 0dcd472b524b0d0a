"""MNIST and other sets of tensorflow-datasets, prepared and read without TensorFlow."""

import gzip
import hashlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import WHOLE_MNIST, needs_mnist, read, refused
from PIL import Image

from train.data import Dataset, mnist
from train.data.idx import MNIST, IdxFile
from train.data.lazy import LazyArray
from train.data.mnist_builder import MnistIdx


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: Dataset) -> Path:
    """A folder with MNIST's file names, but only 200 + 100 digits."""
    folder = tmp_path / "originals"
    folder.mkdir()
    for split, x, y in (
        ("train", bundled.x_train[:200, ..., 0], bundled.y_train[:200]),
        ("test", bundled.x_test[:100, ..., 0], bundled.y_test[:100]),
    ):
        files = []
        for file, values in zip(MNIST[split], (x, y.astype(np.uint8)), strict=True):
            head = bytes([0, 0, 8, values.ndim])
            plain = head + np.array(values.shape, ">u4").tobytes() + values.tobytes()
            packed = gzip.compress(plain)
            (folder / f"{file.name}.gz").write_bytes(packed)
            files.append(
                IdxFile(file.name, *(hashlib.md5(data).hexdigest() for data in (packed, plain)))
            )
        monkeypatch.setitem(MNIST, split, tuple(files))
    return folder


def check_small_mnist(dataset: Dataset, bundled: Dataset) -> None:
    assert dataset.x_train.shape == (200, 28, 28, 1)
    assert dataset.x_train.dtype == np.uint8
    assert dataset.class_names == tuple("0123456789")
    for x, y, x0, y0 in (
        (dataset.x_train, dataset.y_train, bundled.x_train[:200], bundled.y_train[:200]),
        (dataset.x_test, dataset.y_test, bundled.x_test[:100], bundled.y_test[:100]),
    ):
        assert {(bytes(i), int(label)) for i, label in zip(x, y, strict=True)} == {
            (bytes(i), int(label)) for i, label in zip(x0, y0, strict=True)
        }


def test_mnist_is_prepared_once_without_tensorflow(
    small_mnist: Any, tmp_path: Path, bundled: Dataset, capsys: Any
) -> None:
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    dataset = read("mnist", **fields)
    check_small_mnist(dataset, bundled)
    assert capsys.readouterr().out == "mnist: 200 training, 100 test images of 10 classes\n"
    shutil.rmtree(small_mnist)
    again = read("mnist", **fields)
    np.testing.assert_array_equal(again.x_train, dataset.x_train)
    np.testing.assert_array_equal(again.y_train, dataset.y_train)
    assert "tensorflow" not in sys.modules


def test_mnist_that_another_process_prepares_meanwhile(
    small_mnist: Any, tmp_path: Path, bundled: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    generate = MnistIdx._split_generators

    def overtaken(*args: Any) -> dict[str, Any]:
        monkeypatch.setattr(MnistIdx, "_split_generators", generate)
        read("mnist", **fields)
        return generate(*args)

    monkeypatch.setattr(MnistIdx, "_split_generators", overtaken)
    check_small_mnist(read("mnist", **fields), bundled)
    assert MnistIdx._split_generators is generate


def test_mnist_is_read_by_index(small_mnist: Any, tmp_path: Path, bundled: Dataset) -> None:
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    dataset, lazy = (read("mnist", memory_limit=limit, **fields) for limit in (1000, 0))
    assert isinstance(lazy.x_train, LazyArray)
    np.testing.assert_array_equal(np.asarray(lazy.x_train), dataset.x_train)
    np.testing.assert_array_equal(lazy.y_train, dataset.y_train)
    np.testing.assert_array_equal(np.asarray(lazy.x_test[::-7]), dataset.x_test[::-7])


def test_mnist_is_read_from_unpacked_files(
    small_mnist: Any, tmp_path: Path, bundled: Dataset
) -> None:
    for path in small_mnist.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    check_small_mnist(read("mnist", **fields), bundled)


def test_mnist_is_downloaded(
    small_mnist: Any, tmp_path: Path, bundled: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mnist, "MIRROR", small_mnist.as_uri() + "/")
    check_small_mnist(read("mnist", data_dir=str(tmp_path / "data")), bundled)


def test_failed_download_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "MIRROR", (tmp_path / "nowhere").as_uri() + "/")
    said = refused("mnist", data_dir=str(tmp_path / "data"))
    assert "cannot download" in said
    assert "--data.manual-dir" in said


def test_missing_or_damaged_mnist_files_are_refused(small_mnist: Any, tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    said = refused("mnist", data_dir=data, manual_dir=str(tmp_path / "nowhere"))
    assert "nowhere is not a folder" in said
    labels = small_mnist / "t10k-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(whole[:-1])
    said = refused("mnist", data_dir=data, manual_dir=str(small_mnist))
    assert said.startswith(f"{labels} has md5 ")
    labels.unlink()
    said = refused("mnist", data_dir=data, manual_dir=str(small_mnist))
    assert "holds no t10k-labels-idx1-ubyte.gz; MNIST needs its four original files" in said
    labels.write_bytes(whole)
    blocked = tmp_path / "file"
    blocked.write_text("")
    said = refused("mnist", data_dir=str(blocked), manual_dir=str(small_mnist))
    assert "choose another --data.data-dir" in said


@needs_mnist
@pytest.mark.slow
def test_full_mnist_is_read(tmp_path: Path) -> None:
    dataset = read("mnist", data_dir=str(tmp_path), manual_dir=str(WHOLE_MNIST))
    assert dataset.x_train.shape == (60_000, 28, 28, 1)
    assert np.bincount(dataset.y_test).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert dataset.x_train.sum() == 1_567_298_545


@pytest.fixture(scope="module")
def tiny_shapes() -> str:
    """A set of tensorflow-datasets with PNG images, class names and a validation set."""
    import tensorflow_datasets as tfds

    class TinyShapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["round", "square"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
            folder = Path(dl_manager.download_dir)
            sizes = {"train": (8, 8), "validation": (8, 8), "test": (8, 6)}
            return {s: self._generate_examples(folder, s, *size) for s, size in sizes.items()}

        def _generate_examples(self, folder: Path, split: str, w: int, h: int) -> Iterator[Any]:
            for i in range(4):
                path = folder / f"{split}{i}.png"
                Image.fromarray(np.full((h, w, 3), 10 * i, np.uint8)).save(path)
                yield i, {"image": path, "label": i % 2}

    return str(TinyShapes.name)


def test_other_sets_of_tensorflow_datasets_are_read(tiny_shapes: Any, tmp_path: Path) -> None:
    said = refused(tiny_shapes, data_dir=str(tmp_path))
    assert "x_test has images of shape (6, 8, 3) and x_train of (8, 8, 3)" in said
    assert "--data.image-size" in said
    dataset = read(tiny_shapes, data_dir=str(tmp_path), image_size=6)
    assert dataset.class_names == ("round", "square")
    for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_valid, dataset.y_valid)):
        assert x.shape == (4, 6, 6, 3)
        np.testing.assert_array_equal(x[:, 0, 0, 0] // 10 % 2, y)


def test_set_that_cannot_be_prepared_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tensorflow_datasets as tfds

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no\ninternet")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    said = refused("fashion_mnist", data_dir=str(tmp_path))
    assert "fashion_mnist is not prepared in" in said
    assert "(no internet)" in said
    assert "tfds build fashion_mnist" in said
