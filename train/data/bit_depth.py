"""How many bits a channel of an image file has; Pillow cuts deep colour down to 8 in silence."""

import re
from pathlib import Path

from PIL import Image

_DEEP_MODES = ("F", "I", "I;16", "I;16B", "I;16L", "I;16N")
_HEAD = 1 << 16  # bytes of a file in which its header is


def find_bit_depth(path: Path, file: Image.Image) -> int:
    """Returns the bits of a channel, at least 8.

    Args:
        path: the file.
        file: the same, opened by Pillow and not yet loaded.
    """
    if file.mode in _DEEP_MODES:
        return 16
    with path.open("rb") as opened:
        head = opened.read(_HEAD)
    if file.format == "PNG":  # IHDR is always first
        return max(8, head[24])
    if file.format == "SGI":
        return 8 * head[3]
    if file.format == "JPEG2000":  # Ssiz of the first component
        siz = re.search(rb"\xff\x4f\xff\x51.{38}(.)", head, re.DOTALL)
        return max(8, (siz[1][0] & 0x7F) + 1) if siz else 8
    if file.format == "AVIF":  # high_bitdepth and twelve_bit
        flags = re.search(rb"av1C..(.)", head, re.DOTALL)
        return (12 if flags[1][0] & 0x20 else 10) if flags and flags[1][0] & 0x40 else 8
    if file.format == "TIFF":
        return max(8, *_whole_numbers(getattr(file, "tag_v2", {}).get(258, ())))  # BitsPerSample
    if file.format == "PPM":  # the largest value
        arguments = [tile.args for tile in getattr(file, "tile", ())]
        return max(8, *(number.bit_length() for number in _whole_numbers(arguments)))
    return 8


def _whole_numbers(values: object) -> list[int]:
    """Returns all integers in nested sequences, after a 0."""
    if isinstance(values, list | tuple):
        return [0, *(number for value in values for number in _whole_numbers(value))]
    return [0, values] if isinstance(values, int) else [0]
