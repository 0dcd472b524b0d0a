"""What ``predict`` is given: the files that fit would read, and labels where they are known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from train.data import DataError
from train.data.notes import Notes
from train.errors import UserError
from train.evaluation.inputs import Input, fit_to_input, match_channels, read_inputs

X = np.random.default_rng(0).integers(0, 256, (4, 6, 6), np.uint8)


def write(path: Path, count: int = 2, suffix: str = ".png") -> None:
    path.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.fromarray(X[i]).save(path / f"{i}{suffix}", "PNG" if not suffix else None)


def read(*sources: Path, classes: tuple[str, ...] = ("a", "b")) -> tuple[list[Input], list[str]]:
    notes = Notes()
    without = sources[0].parent / "out"
    return list(read_inputs(sources, classes, without, notes)), list(notes.lines())


def test_folders_are_read_as_fit_reads_them(tmp_path: Path) -> None:
    write(tmp_path / "in")
    write(tmp_path / "in" / "deeper", suffix="")
    write(tmp_path / "in" / ".ipynb_checkpoints")
    write(tmp_path / "in" / "__MACOSX")
    (tmp_path / "in" / "._0.png").write_bytes(b"junk")
    (tmp_path / "in" / "clip.heic").write_bytes(b"")
    images, notes = read(tmp_path / "in")
    assert [str(Path(image.name).relative_to(tmp_path / "in")) for image in images] == [
        *("0.png", "1.png", "deeper/0", "deeper/1")
    ]
    np.testing.assert_array_equal(images[0].pixels[..., 0], X[0])
    assert notes == [f".heic files are not read: 1 ({tmp_path / 'in' / 'clip.heic'})"]


def test_results_among_the_images_are_no_images(tmp_path: Path) -> None:
    write(tmp_path / "in")
    write(tmp_path / "in" / "out" / "rectified")
    notes = Notes()
    found = list(read_inputs([tmp_path / "in"], (), tmp_path / "in" / "out", notes))
    assert len(found) == 2


def test_folders_of_classes_are_labels(tmp_path: Path) -> None:
    for place in ("a", "b/deeper", "c", "test/a", "test/b", "."):
        write(tmp_path / "in" / place, 1)
    images, _ = read(tmp_path / "in")
    labels = {str(Path(one.name).relative_to(tmp_path / "in").parent): one.label for one in images}
    assert labels == {
        **{".": None, "a": "a", "b/deeper": "b", "c": None, "test/a": "a", "test/b": "b"}
    }


@pytest.mark.parametrize("name", ["x.npz", "X.NPZ"])
def test_archives_have_labels_by_number_or_name(tmp_path: Path, name: str) -> None:
    for labels in (np.array([1, 0, 7, 1]), np.array([["b"], ["a"], ["z"], ["b"]])):
        with (tmp_path / name).open("wb") as file:
            np.savez(file, x_test=X, y_test=labels, x_train=X[:1], y_train=labels[:1])
        images, notes = read(tmp_path / name)
        assert [image.label for image in images] == ["b", "a", None, "b"]
        assert images[2].name == f"{tmp_path / name}[2]"
        assert notes == [f"arrays of {tmp_path / name} are not predicted: 1 (x_train)"]
    np.savez(tmp_path / "images.npz", images=X)
    assert [image.label for image in read(tmp_path / "images.npz")[0]] == [None] * 4


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "y.npz", y=X)
    np.savez(tmp_path / "short.npz", x=X, y=[1, 2])
    for name, message, error in (
        ("nosuch.png", "nosuch.png' does not exist", UserError),
        ("y.npz", "no array of images", UserError),
        ("short.npz", "has 4 images and 2 labels", DataError),
    ):
        with pytest.raises(error, match=message):
            read(tmp_path / name)


def test_images_are_fitted_to_the_input() -> None:
    image = Input("it", X[0][..., None], None)
    whole = fit_to_input(image, (6, 6, 1), (6, 6, 1))
    np.testing.assert_array_equal(whole[..., 0], X[0])
    framed = fit_to_input(image, (10, 8, 3), (6, 6, 3))
    np.testing.assert_array_equal(framed[2:8, 1:7], np.repeat(X[0][..., None], 3, axis=2))
    assert framed.sum() == 3 * X[0].sum(dtype=int)
    assert fit_to_input(image, (9, 9, 1), (4, 4, 1))[2:6, 2:6].shape == (4, 4, 1)


def test_channels_are_matched_or_refused() -> None:
    colour = np.stack([X, X, X], axis=-1)
    np.testing.assert_array_equal(match_channels("x", colour, 1)[..., 0], X)
    np.testing.assert_array_equal(match_channels("x", X[..., None], 3), colour)
    assert match_channels("x", colour[:0], 1).shape == (0, 6, 6, 1)
    with pytest.raises(UserError, match="x has 4 channels; the network needs 3"):
        match_channels("x", np.zeros((1, 2, 2, 4), np.uint8), 3)
