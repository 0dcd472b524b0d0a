"""Every source of data: what it gives, and what it says when it cannot."""

import gzip
import hashlib
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.config import DataConfig
from train.data import DataError, load, mnist
from train.data.bundled import make
from train.data.dataset import hold_out
from train.data.idx import MNIST, IdxFile
from train.data.sources import BUNDLED

WHOLE_MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"
needs_mnist = pytest.mark.skipif(not WHOLE_MNIST.is_dir(), reason="the whole of MNIST is not here")


def read(name, **fields):
    return load(DataConfig(name=str(name), **fields))


def refused(name, **fields):
    """Returns the message with which a source is refused: one line."""
    with pytest.raises(DataError) as caught:
        read(name, **fields)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --- the bundled digits


@pytest.fixture(scope="module")
def bundled():
    return read("bundled")


def test_bundled_digits_are_balanced(bundled):
    assert bundled.x_train.shape == (10_000, 28, 28, 1)
    assert bundled.x_test.shape == (2_000, 28, 28, 1)
    assert bundled.x_train.dtype == np.uint8
    assert bundled.y_train.dtype == np.int32
    assert np.bincount(bundled.y_train).tolist() == [1000] * 10
    assert np.bincount(bundled.y_test).tolist() == [200] * 10
    assert len(bundled.x_valid) == 0
    assert bundled.class_names == tuple("0123456789")
    assert bundled.image_shape == (28, 28, 1)


def test_bundled_digits_are_mixed(bundled):
    """Any tenth of them holds all classes, none much more often than another."""
    for part in np.array_split(bundled.y_train, 10):
        counts = np.bincount(part, minlength=10)
        assert counts.min() > 60
        assert counts.max() < 140


def test_bundled_test_digits_are_not_trained_on(bundled):
    seen = {image.tobytes() for image in bundled.x_train}
    assert not any(image.tobytes() in seen for image in bundled.x_test)


def test_bundled_digits_are_what_their_labels_say(bundled):
    """The nearest of ten class means is right for four digits in five, as on all of MNIST."""
    flat = bundled.x_train.reshape(10_000, -1).astype(np.float32)
    means = np.stack([flat[bundled.y_train == digit].mean(axis=0) for digit in range(10)])
    test = bundled.x_test.reshape(2_000, -1).astype(np.float32)
    distances = ((test[:, None] - means) ** 2).sum(axis=-1)
    assert 0.75 < np.mean(distances.argmin(axis=1) == bundled.y_test) < 0.9


def test_bundled_file_is_the_one_described():
    described = (BUNDLED.parent / "README.md").read_text()
    data = BUNDLED.read_bytes()
    assert hashlib.md5(data).hexdigest() in described
    assert f"{len(data):,} bytes" in described
    assert len(data) < 2_200_000


@needs_mnist
def test_bundled_digits_are_made_from_mnist(tmp_path):
    output = tmp_path / "digits.npz"
    assert make.main([str(WHOLE_MNIST), "--output", str(output)]) == 0
    with np.load(output) as made, np.load(BUNDLED) as kept:
        assert made.files == kept.files
        for key in kept.files:
            np.testing.assert_array_equal(made[key], kept[key])


def test_make_says_what_it_needs(tmp_path, capsys):
    assert make.main([str(tmp_path)]) == 2
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err
    assert make.main([str(tmp_path / "nothing")]) == 2
    assert "no tarball" in capsys.readouterr().err


# --- arrays


def arrays(**changes):
    """Arrays of 12 + 6 images of three classes; a change to None leaves the array out."""
    random = np.random.default_rng(0)
    fields = {
        "x_train": random.integers(0, 256, (12, 9, 7), np.uint8),
        "y_train": np.arange(12) % 3,
        "x_test": random.integers(0, 256, (6, 9, 7), np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return {key: value for key, value in (fields | changes).items() if value is not None}


def test_npz_round_trip(tmp_path):
    given = arrays()
    np.savez(tmp_path / "mine.npz", **given, notes=np.array(["other arrays do not matter"]))
    dataset = read(tmp_path / "mine.npz")
    assert dataset.x_train.shape == (12, 9, 7, 1)
    np.testing.assert_array_equal(dataset.x_train[..., 0], given["x_train"])
    np.testing.assert_array_equal(dataset.x_test[..., 0], given["x_test"])
    np.testing.assert_array_equal(dataset.y_test, given["y_test"])
    assert dataset.class_names == ("0", "1", "2")


def test_npz_of_colour_floats_with_validation_and_names(tmp_path):
    x = np.random.default_rng(0).random((12, 4, 5, 3), np.float32)
    given = arrays(x_train=x, x_test=x[:6], x_valid=x[6:8], y_valid=np.array([0, 3]))
    np.savez(tmp_path / "mine.npz", **given, class_names=np.array(["a", "b", "c", "never seen"]))
    dataset = read(tmp_path / "mine.npz")
    assert dataset.class_names == ("a", "b", "c", "never seen")
    assert dataset.y_valid.tolist() == [0, 3]
    assert dataset.x_train.dtype == np.uint8
    np.testing.assert_allclose(dataset.x_train / 255, x, atol=0.5001 / 255)
    assert read(tmp_path / "mine.npz", image_size=8).x_valid.shape == (2, 8, 8, 3)


X, Y = arrays()["x_train"], arrays()["y_train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, r"no array x_train; it has y_train, x_test, y_test, and x_train, "),
        ({"x_train": None, "y_train": None}, r"no array x_train, y_train;"),
        ({"x_valid": X}, r"only one of x_valid and y_valid"),
        ({"y_train": Y[:11]}, r"x_train holds 12 images and y_train 11 labels"),
        ({"y_train": Y + 1}, r"y_train has 3 different labels from 1 to 3"),
        ({"y_train": Y - 1}, r"y_train has 3 different labels from -1 to 1 \(negative\)"),
        ({"y_train": np.where(np.arange(12) == 5, 99, Y)}, r"labels from 0 to 99 .* 0 to 3"),
        ({"y_test": np.arange(6)}, r"y_test holds label 3; labels must be in \[0, 3\)"),
        ({"y_test": np.arange(6) % 3 - 1}, r"y_test holds label -1; labels must be in \[0, 3\)"),
        ({"y_train": Y * 2**40}, r"y_train holds label 2199023255552"),
        ({"y_train": Y.astype(np.float32)}, r"y_train is float32; labels must be integers"),
        ({"y_train": np.eye(3, dtype=int)[Y]}, r"y_train has shape \(12, 3\).*argmax"),
        ({"y_train": Y * 0}, r"has 1 class; a classifier needs 2"),
        ({"x_train": X * 2.0}, r"x_train holds values from 0 to 510; .* \[0, 1\]"),
        ({"x_train": X / 255 - 0.5}, r"x_train holds values from -0.5 to 0.5"),
        ({"x_train": np.where(X > 9, X / 255, np.nan)}, r"x_train holds NaN or infinite"),
        ({"x_train": X.astype(np.int64)}, r"x_train is int64; images must be uint8 or floats"),
        ({"x_train": X.reshape(12, 63)}, r"x_train has shape \(12, 63\); it must be \(n, h, w\)"),
        ({"x_train": X[:, None]}, r"x_train has shape \(12, 1, 9, 7\).*np.moveaxis\(x, 1, -1\)"),
        ({"x_test": X[:6, :8]}, r"x_test has images of shape \(8, 7, 1\) and x_train of \(9, 7, 1"),
        ({"x_test": X[:0], "y_test": Y[:0]}, r"x_test is empty"),
        ({"x_train": X[:, :0]}, r"x_train is empty"),
        ({"class_names": np.arange(3)}, r"class_names is int64 \(3,\); it must be strings"),
        ({"class_names": np.array(["a", "b"])}, r"y_train holds label 2; labels must be in \[0, 2"),
        ({"x_train": X.astype(object)}, r"cannot be read as an .npz file of plain arrays"),
    ],
)
def test_npz_that_does_not_fit(tmp_path, changes, message):
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays(**changes))
    said = refused(path)
    assert re.search(message, said)
    assert said.startswith(str(path))


def test_npz_that_cannot_be_read(tmp_path):
    path = tmp_path / "mine.npz"
    assert "does not exist" in refused(path)
    path.write_bytes(b"not an archive")
    assert "cannot be read as an .npz" in refused(path)
    with open(path, "wb") as file:
        np.save(file, X)
    assert "cannot be read as an .npz" in refused(path)
    np.savez_compressed(path, **arrays())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read as an .npz" in refused(path)
    path.write_bytes(whole[:100] + b"\xff" * 50 + whole[150:])
    assert "cannot be read as an .npz" in refused(path)


# --- folders of images


def write_images(folder, count, *, mode="L", size=(7, 9), suffix=".png", start=0):
    """Writes noise, a different one in each file; returns the arrays by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for i in range(start, start + count):
        random = np.random.default_rng([i, *folder.name.encode()])
        channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
        pixels = random.integers(0, 256, (*size[::-1], *channels), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}{suffix}")
        written[f"{i:03}"] = pixels
    return written


def images_by_label(x, y, label):
    return {image.tobytes() for image in x[y == label]}


def test_folder_without_test_set(tmp_path):
    cats, dogs = (write_images(tmp_path / name, 10) for name in ("cats", "dogs"))
    (tmp_path / "notes.txt").write_text("passed over")
    (tmp_path / "cats" / ".hidden.png").write_bytes(b"passed over")
    (tmp_path / "cats" / "thumbs.db").write_bytes(b"passed over")
    dataset = read(tmp_path)
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.x_train.shape == (16, 9, 7, 1)
    assert np.bincount(dataset.y_test).tolist() == [2, 2]
    for label, written in enumerate((cats, dogs)):
        train = images_by_label(dataset.x_train, dataset.y_train, label)
        test = images_by_label(dataset.x_test, dataset.y_test, label)
        assert not train & test
        assert train | test == {pixels.tobytes() for pixels in written.values()}
    np.testing.assert_array_equal(read(tmp_path).x_test, dataset.x_test)


def test_folder_with_sets_of_its_own(tmp_path):
    for name in ("2", "10", "1"):
        write_images(tmp_path / "train" / name, 3)
        write_images(tmp_path / "test" / name, 2, start=3)
    write_images(tmp_path / "valid" / "10", 1, start=5)
    dataset = read(tmp_path)
    assert dataset.class_names == ("1", "2", "10")
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [9, 1, 6]
    assert dataset.y_valid.tolist() == [2]


def test_folder_of_colour_and_grey(tmp_path):
    colour = write_images(tmp_path / "a", 3, mode="RGB")
    grey = write_images(tmp_path / "b", 3)
    dataset = read(tmp_path)
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    assert images_by_label(x, y, 0) == {pixels.tobytes() for pixels in colour.values()}
    threefold = {np.stack([pixels] * 3, axis=-1).tobytes() for pixels in grey.values()}
    assert images_by_label(x, y, 1) == threefold


def test_transparency_is_black_and_photographs_are_upright(tmp_path):
    clear = write_images(tmp_path / "clear", 1, mode="RGBA")["000"]
    clear[..., 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear" / "000.png")
    (tmp_path / "turned").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    lying = Image.fromarray(np.repeat(np.array([[0], [255]], np.uint8), 9, axis=1).repeat(4, 0)[1:])
    lying.save(tmp_path / "turned" / "000.png", exif=exif)
    for name in ("train", "test"):
        for label in ("clear", "turned"):
            shutil.copytree(tmp_path / label, tmp_path / "sets" / name / label)
    dataset = read(tmp_path / "sets")
    assert not dataset.x_train[0].any()
    assert dataset.x_train[1].shape == (9, 7, 3)
    assert dataset.x_train[1, :, :4].all()  # the lower half came to the left
    assert not dataset.x_train[1, :, 4:].any()


def test_images_of_different_sizes(tmp_path):
    write_images(tmp_path / "a", 2)
    write_images(tmp_path / "b", 2, size=(20, 10))
    said = refused(tmp_path)
    assert str(tmp_path / "a" / "000.png") in said
    assert "is 7 x 9" in said
    assert str(tmp_path / "b" / "000.png") in said
    assert "is 20 x 10" in said
    assert "--data.image-size" in said
    assert read(tmp_path, image_size=12).image_shape == (12, 12, 1)


def test_resizing_averages(tmp_path):
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(board).save(tmp_path / name / f"{i}.png")
    small = read(tmp_path, image_size=8).x_train
    assert np.abs(small[:, 1:-1, 1:-1].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
def test_truncated_image(tmp_path, suffix):
    write_images(tmp_path / "a", 3, suffix=suffix, size=(40, 40))
    write_images(tmp_path / "b", 3, suffix=suffix, size=(40, 40))
    path = tmp_path / "b" / f"001{suffix}"
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:length])
        said = refused(tmp_path)
        assert said.startswith(f"{path} is damaged or is no image")
        assert "replace or remove it" in said


def test_folders_that_do_not_fit(tmp_path):
    assert "holds no class folders" in refused(tmp_path)
    write_images(tmp_path / "a", 2)
    assert "has one class folder, a; a classifier needs 2" in refused(tmp_path)
    (tmp_path / "b").mkdir()
    assert f"{tmp_path / 'b'} holds no images" in refused(tmp_path)
    write_images(tmp_path / "b", 1)
    assert len(read(tmp_path).x_test) == 1  # b keeps its only image for training
    (tmp_path / "a" / "000.png").unlink()
    assert "leaves none for testing" in refused(tmp_path)
    Image.fromarray(np.zeros((9, 7), np.uint16)).save(tmp_path / "b" / "deep.png")
    assert "8 bits" in refused(tmp_path)


def test_folder_with_an_unknown_class_in_test(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 1)
    write_images(tmp_path / "test" / "c", 1)
    assert "a class that is not in the training folder; classes there are a, b" in refused(tmp_path)


# --- validation sets


def test_validation_set_is_a_fraction_of_each_class(bundled):
    dataset = read("bundled", valid_fraction=0.1)
    assert np.bincount(dataset.y_valid).tolist() == [100] * 10
    assert np.bincount(dataset.y_train).tolist() == [900] * 10
    parts = np.concatenate([dataset.x_train, dataset.x_valid]).reshape(10_000, -1)
    assert sorted(map(bytes, parts)) == sorted(map(bytes, bundled.x_train.reshape(10_000, -1)))
    np.testing.assert_array_equal(read("bundled", valid_fraction=0.1).x_valid, dataset.x_valid)


def test_validation_set_of_ones_own_stays(tmp_path):
    np.savez(tmp_path / "mine.npz", **arrays(x_valid=X, y_valid=Y))
    assert "has 12 validation images of its own" in refused(
        tmp_path / "mine.npz", valid_fraction=0.1
    )


def test_hold_out_leaves_something():
    kept, held = hold_out(np.array([0, 1, 1, 2, 2, 2]), 0.9)
    assert len(held) == 3
    assert sorted([*kept, *held]) == list(range(6))
    assert 0 in kept


# --- tensorflow-datasets


@pytest.fixture
def small_mnist(tmp_path, monkeypatch, bundled):
    """A folder like that of MNIST's files, with 200 + 100 digits, packed images, loose labels."""
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


def check_small_mnist(dataset, bundled):
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


def test_mnist_is_prepared_once_and_without_tensorflow(small_mnist, tmp_path, bundled, capsys):
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    dataset = read("mnist", **fields)
    check_small_mnist(dataset, bundled)
    assert capsys.readouterr().out == ""
    shutil.rmtree(small_mnist)
    again = read("mnist", **fields)
    np.testing.assert_array_equal(again.x_train, dataset.x_train)
    np.testing.assert_array_equal(again.y_train, dataset.y_train)
    assert "tensorflow" not in sys.modules


def test_mnist_from_unpacked_files(small_mnist, tmp_path, bundled):
    for path in small_mnist.glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    fields = {"data_dir": str(tmp_path / "data"), "manual_dir": str(small_mnist)}
    check_small_mnist(read("mnist", **fields), bundled)


def test_mnist_is_downloaded(small_mnist, tmp_path, bundled, monkeypatch):
    monkeypatch.setattr(mnist, "MIRROR", small_mnist.as_uri() + "/")
    check_small_mnist(read("mnist", data_dir=str(tmp_path / "data")), bundled)


def test_mnist_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MIRROR", (tmp_path / "nowhere").as_uri() + "/")
    said = refused("mnist", data_dir=str(tmp_path / "data"))
    assert "cannot download" in said
    assert "--data.manual-dir" in said


def test_mnist_from_the_wrong_files(small_mnist, tmp_path):
    data = str(tmp_path / "data")
    said = refused("mnist", data_dir=data, manual_dir=str(tmp_path / "nowhere"))
    assert "nowhere is no folder" in said
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
def test_the_whole_of_mnist(tmp_path):
    dataset = read("mnist", data_dir=str(tmp_path), manual_dir=str(WHOLE_MNIST))
    assert dataset.x_train.shape == (60_000, 28, 28, 1)
    assert np.bincount(dataset.y_test).tolist() == [
        *(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009)
    ]
    assert dataset.x_train.sum() == 1_567_298_545


@pytest.fixture(scope="module")
def tiny_shapes():
    """A set of tensorflow-datasets that is not MNIST: PNG images, names, a validation set."""
    import tensorflow_datasets as tfds

    class TinyShapes(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["round", "square"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            folder = Path(dl_manager.download_dir)
            sizes = {"train": (8, 8), "validation": (8, 8), "test": (8, 6)}
            return {s: self._generate_examples(folder, s, *size) for s, size in sizes.items()}

        def _generate_examples(self, folder, split, w, h):
            for i in range(4):
                path = folder / f"{split}{i}.png"
                Image.fromarray(np.full((h, w, 3), 10 * i, np.uint8)).save(path)
                yield i, {"image": path, "label": i % 2}

    return TinyShapes.name


def test_another_set_of_tensorflow_datasets(tiny_shapes, tmp_path):
    said = refused(tiny_shapes, data_dir=str(tmp_path))
    assert "x_test has images of shape (6, 8, 3) and x_train of (8, 8, 3)" in said
    assert "--data.image-size" in said
    dataset = read(tiny_shapes, data_dir=str(tmp_path), image_size=6)
    assert dataset.class_names == ("round", "square")
    for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_valid, dataset.y_valid)):
        assert x.shape == (4, 6, 6, 3)
        np.testing.assert_array_equal(x[:, 0, 0, 0] // 10 % 2, y)


@pytest.mark.parametrize("name", ["nosuch", "fashon_mnist", "", "./nowhere", "no/such/folder"])
def test_unknown_name(name, tmp_path):
    said = refused(name, data_dir=str(tmp_path))
    assert said.startswith(f"data.name={name!r} is not known")
    for allowed in ("'bundled'", "'mnist'", ".npz", "folder of images", "tensorflow-datasets"):
        assert allowed in said
    assert ("did you mean 'fashion_mnist'?" in said) == (name == "fashon_mnist")


def test_set_that_cannot_be_prepared(tmp_path, monkeypatch):
    import tensorflow_datasets as tfds

    def fail(*_, **__):
        raise RuntimeError("no\ninternet")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    said = refused("fashion_mnist", data_dir=str(tmp_path))
    assert "fashion_mnist is not prepared in" in said
    assert "(no internet)" in said
    assert "tfds build fashion_mnist" in said
