"""Bits of a channel: deep colour is found in every format that Pillow would cut down in silence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from loading import refused, write_images
from PIL import Image

from train.data.bit_depth import find_bit_depth

DEEP = np.full((4, 4, 3), 4095, np.uint16)


def png(path: Path, channels: int) -> None:
    """A PNG of 16 bits, which Pillow cannot write."""
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    row = b"\0" + np.full((4, channels), 4095, ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 4, 4, 16, color, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(4 * row)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + kind + body
        data += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(data)


def tiff(path: Path) -> None:
    """An uncompressed RGB TIFF of 16 bits, which Pillow cannot write."""
    pixels = DEEP.astype("<u2").tobytes()
    entries = [
        *((256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 3, 8 + len(pixels)), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, 4)),
        (279, 4, 1, len(pixels)),
    ]
    start = 8 + len(pixels) + 6
    directory = struct.pack("<H", len(entries))
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries) + b"\0" * 4
    head = b"II*\0" + struct.pack("<I", start)
    path.write_bytes(head + pixels + struct.pack("<HHH", 16, 16, 16) + directory)


def depth(path: Path) -> int:
    with Image.open(path) as file:
        return find_bit_depth(path, file)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_is_refused(tmp_path: Path, channels: int) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / name, 2)
    png(tmp_path / "a" / "deep.png", channels)
    said = refused(tmp_path)
    assert said.startswith(str(tmp_path / "a" / "deep.png"))
    assert "16 bits" in said
    assert "convert it to 8 bits" in said


def test_other_deep_formats_are_found(tmp_path: Path) -> None:
    tiff(tmp_path / "deep.tif")
    assert depth(tmp_path / "deep.tif") == 16
    (tmp_path / "deep.ppm").write_bytes(b"P6 4 4 4095\n" + DEEP.astype(">u2").tobytes())
    assert depth(tmp_path / "deep.ppm") == 12
    (tmp_path / "plain.ppm").write_bytes(b"P3 1 1 1023\n 1023 0 512\n")
    assert depth(tmp_path / "plain.ppm") == 10
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "deep.jp2")
    assert depth(tmp_path / "deep.jp2") == 16


@pytest.mark.parametrize("suffix", [".png", ".tif", ".ppm", ".jp2", ".jpg", ".avif", ".bmp"])
def test_eight_bits_are_eight(tmp_path: Path, suffix: str) -> None:
    write_images(tmp_path, 1, mode="RGB", suffix=suffix, size=(16, 16))
    assert depth(tmp_path / f"000{suffix}") == 8


def test_headers_of_deep_jpeg_2000_and_avif_are_read(tmp_path: Path) -> None:
    """Their bytes are those of shallow ones, but for the field."""
    write_images(tmp_path, 1, mode="RGB", suffix=".j2k", size=(16, 16))
    path = tmp_path / "000.j2k"
    data = bytearray(path.read_bytes())
    data[data.index(b"\xff\x51") + 40] = 11  # Ssiz: 12 bits, unsigned
    path.write_bytes(data)
    assert depth(path) == 12
    write_images(tmp_path, 1, mode="RGB", suffix=".avif", size=(16, 16))
    path = tmp_path / "000.avif"
    data = bytearray(path.read_bytes())
    with Image.open(path) as file:
        data[data.index(b"av1C") + 6] |= 0x40
        path.write_bytes(data)
        assert find_bit_depth(path, file) == 10
