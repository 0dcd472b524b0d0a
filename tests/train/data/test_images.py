"""Image files: orientation, transparency, sizes, damage."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from loading import arrays, read, refused, write_images
from PIL import Image

from train.data import DataError
from train.data.images import quantize, read_image, read_shape
from train.data.listing import is_image


def test_transparency_becomes_black_and_orientation_is_applied(tmp_path: Path) -> None:
    clear = write_images(tmp_path / "clear", 1, mode="RGBA")["000"]
    clear[..., 3] = 0
    Image.fromarray(clear).save(tmp_path / "clear" / "000.png")
    (tmp_path / "rotated").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter turn
    sideways = Image.fromarray(
        np.repeat(np.array([[0], [255]], np.uint8), 9, axis=1).repeat(4, 0)[1:]
    )
    sideways.save(tmp_path / "rotated" / "000.png", exif=exif)
    for name in ("train", "test"):
        for label in ("clear", "rotated"):
            shutil.copytree(tmp_path / label, tmp_path / "sets" / name / label)
    dataset = read(tmp_path / "sets")
    assert not dataset.x_train[0].any()
    assert dataset.x_train[1].shape == (9, 7, 3)
    assert dataset.x_train[1, :, :4].all()  # the lower half is on the left
    assert not dataset.x_train[1, :, 4:].any()


def test_different_sizes_are_refused_unless_resized(tmp_path: Path) -> None:
    write_images(tmp_path / "a", 2)
    write_images(tmp_path / "b", 2, size=(20, 10))
    said = refused(tmp_path)
    assert str(tmp_path / "a" / "000.png") in said
    assert "is 7 x 9" in said
    assert str(tmp_path / "b" / "000.png") in said
    assert "is 20 x 10" in said
    assert "--data.image-size" in said
    assert read(tmp_path, image_size=12).image_shape == (12, 12, 1)


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray(board).save(tmp_path / name / f"{i}.png")
    small = read(tmp_path, image_size=8).x_train
    assert np.abs(small[:, 1:-1, 1:-1].astype(int) - 127).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".gif", ".tif", ".webp"])
def test_truncated_images_are_refused(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path / "a", 3, suffix=suffix, size=(40, 40))
    write_images(tmp_path / "b", 3, suffix=suffix, size=(40, 40))
    path = tmp_path / "b" / f"001{suffix}"
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:length])
        said = refused(tmp_path)
        assert said.startswith(f"{path} is damaged or not an image")
        assert "replace or remove it" in said


X = arrays()["x_train"]


@pytest.mark.parametrize(
    ("x", "message", "harm"),
    [
        (X > 99, r"bool; .* x\.astype\(np\.uint8\) \* 255", r"astype\(np\.uint8\)(?! \* 255)"),
        (np.int64(X > 99), r"int64; .* x\.astype\(np\.uint8\) \* 255", r"uint8\)(?! \* 255)"),
        (np.uint8(X > 99), r"brighter than 1 of 255.*multiply by 255", r"astype"),
        (np.float32(X > 99) / 255, r"brighter than 1 of 255.*multiply by 255", r"Divide"),
        (np.int32(X), r"int32; .*from 0 to 255: x\.astype\(np\.uint8\)", r"\* 255|x /"),
        (16 * np.uint16(X), r"up to 4080, .* perhaps 4095: x / 4095", r"astype"),
        (257 * np.uint16(X), r"up to 65535, .* perhaps 65535: x / 65535", r"astype"),
        (np.int16(X) - 128, r"from -128 to 12\d: shift and scale", r"astype"),
        (X.astype(str), r"<U3; images must be uint8 or floats in \[0, 1\]\.", r"astype|x /"),
        (1.0 * X, r"values from 0 to 255; .*Divide values from 0 to 255 by 255", r"astype"),
        (257.0 * X, r"values from 0 to 65535; .*Divide by what white is", r"by 255"),
        (X / 127.5 - 1, r"values from -1 to 1; .*\(x \+ 1\) / 2", r"Divide"),
        (X / 50 - 2, r"Undo their normalisation", r"Divide|\+ 1"),
    ],
)
def test_a_cure_fits_the_images(tmp_path: Path, x: np.ndarray, message: str, harm: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays(x_train=x, x_test=x[:6]))
    said = refused(tmp_path / "mine.npz")
    assert re.search(message, said), said
    assert not re.search(harm, said), said


def test_pictures_of_0_and_1_are_asked_about(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 2)
        for path in (tmp_path / name).iterdir():
            pixels = np.asarray(Image.open(path)) // 200
            Image.fromarray(pixels).save(path)
    assert "brighter than 1 of 255" in refused(tmp_path)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("1", "png"), ("P", "png"), ("CMYK", "jpg"), ("YCbCr", "tif"), ("LAB", "tif")],
)
def test_pictures_of_every_mode_are_read(tmp_path: Path, mode: str, suffix: str) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 2, mode="RGB")
    Image.new(mode, (7, 9)).save(tmp_path / "a" / f"x.{suffix}")
    assert read(tmp_path).image_shape == (9, 7, 3)


def test_images_of_impossible_size_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.ppm"
    path.write_bytes(b"P6 9000 9000 255\n123")
    for read_file in (read_image, read_shape):
        with pytest.raises(DataError, match="has 9,000 x 9,000 pixels; at most 50,000,000"):
            read_file(path)


def test_arrays_of_impossible_images_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x_train.npy"
    header = {"descr": "|u1", "fortran_order": False, "shape": (2, 10**6, 10**6)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(3 * 10**12)  # a sparse file: it takes no space
    for name, array in arrays(x_train=None).items():
        np.save(tmp_path / f"{name}.npy", array)
    assert "images of 1,000,000 x 1,000,000 pixels; at most 50,000,000" in refused(tmp_path)


def test_postscript_is_no_image_whatever_it_is_called(tmp_path: Path) -> None:
    """Pillow would start Ghostscript."""
    image = Image.new("L", (5, 5))
    image.save(tmp_path / "it.eps")
    for name in ("it.png", "it"):
        (tmp_path / name).write_bytes((tmp_path / "it.eps").read_bytes())
        with pytest.raises(DataError, match="damaged or not an image"):
            read_image(tmp_path / name)
    assert not is_image(tmp_path / "it")


def test_floats_are_rounded_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).random((7, 3, 3, 1))
    whole = quantize("x", images)
    np.testing.assert_array_equal(whole, np.round(images * 255))
    monkeypatch.setattr("train.data.images._BLOCK", 20)
    np.testing.assert_array_equal(quantize("x", images), whole)
    assert quantize("x", images[:0]).shape == (0, 3, 3, 1)
