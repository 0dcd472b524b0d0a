"""The bundled digits: balanced, shuffled, as described, and reproducible from MNIST."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from loading import WHOLE_MNIST, needs_mnist

from train.data import Dataset
from train.data.bundled import make
from train.data.sources import BUNDLED


def test_bundled_digits_are_balanced(bundled: Dataset) -> None:
    assert bundled.x_train.shape == (10_000, 28, 28, 1)
    assert bundled.x_test.shape == (2_000, 28, 28, 1)
    assert bundled.x_train.dtype == np.uint8
    assert bundled.y_train.dtype == np.int32
    assert np.bincount(bundled.y_train).tolist() == [1000] * 10
    assert np.bincount(bundled.y_test).tolist() == [200] * 10
    assert len(bundled.x_valid) == 0
    assert bundled.class_names == tuple("0123456789")
    assert bundled.image_shape == (28, 28, 1)


def test_bundled_digits_are_shuffled(bundled: Dataset) -> None:
    """Every tenth of the training set contains all classes about equally often."""
    for labels in np.array_split(bundled.y_train, 10):
        counts = np.bincount(labels, minlength=10)
        assert counts.min() > 60
        assert counts.max() < 140


def test_bundled_test_digits_are_not_in_the_training_set(bundled: Dataset) -> None:
    seen = {image.tobytes() for image in bundled.x_train}
    assert not any(image.tobytes() in seen for image in bundled.x_test)


def test_bundled_labels_are_right(bundled: Dataset) -> None:
    """The nearest class mean is right for four digits in five, as on all of MNIST."""
    flat = bundled.x_train.reshape(10_000, -1).astype(np.float32)
    means = np.stack([flat[bundled.y_train == digit].mean(axis=0) for digit in range(10)])
    test = bundled.x_test.reshape(2_000, -1).astype(np.float32)
    distances = ((test[:, None] - means) ** 2).sum(axis=-1)
    assert 0.75 < np.mean(distances.argmin(axis=1) == bundled.y_test) < 0.9


def test_bundled_file_matches_its_readme() -> None:
    described = (BUNDLED.parent / "README.md").read_text()
    data = BUNDLED.read_bytes()
    assert hashlib.md5(data).hexdigest() in described
    assert f"{len(data):,} bytes" in described
    assert len(data) < 2_200_000


@needs_mnist
def test_bundled_digits_are_reproducible_from_mnist(tmp_path: Path) -> None:
    output = tmp_path / "digits.npz"
    assert make.main([str(WHOLE_MNIST), "--output", str(output)]) == 0
    with np.load(output) as made, np.load(BUNDLED) as kept:
        assert made.files == kept.files
        for key in kept.files:
            np.testing.assert_array_equal(made[key], kept[key])


def test_make_reports_missing_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert make.main([str(tmp_path)]) == 2
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err
    assert make.main([str(tmp_path / "nothing")]) == 2
    assert "neither a folder nor a tarball" in capsys.readouterr().err
