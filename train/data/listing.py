"""Which files of a folder are images; ``fit`` and ``predict`` follow the same rules."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from train.data.notes import Notes

SUFFIXES = (
    *(".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
"""Suffixes of image files, in any case. A file without a suffix is recognised by its content."""

FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "SGI", "TGA", "TIFF"),
    "WEBP",
)
"""Formats that are read whatever a file is called. Pillow knows others, and runs Ghostscript for
one of them."""

_DEBRIS = (
    *("__macosx", "@eadir", "__pycache__", "lost+found", "$recycle.bin"),
    *("system volume information", "thumbs.db", "desktop.ini"),
)
"""What operating systems leave in folders and archives, in lower case."""


class Listing(NamedTuple):
    """The files of a folder and of its sub-folders, in the order of their paths.

    Attributes:
        images: files that are images by their suffix or content.
        others: all other files.
    """

    images: list[Path]
    others: list[Path]


def is_hidden(name: str) -> bool:
    """Returns whether a file or folder is passed over without a word: ``.git``, ``__MACOSX``."""
    return name.startswith(".") or name.lower() in _DEBRIS


def list_visible(folder: Path) -> list[Path]:
    """Returns the files and folders in a folder that are not hidden, in the order of their names.

    Raises:
        OSError: if the folder cannot be read.
    """
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


def list_files(folder: Path, *, without: Collection[Path] = ()) -> Listing:
    """Lists a folder and its sub-folders; links are followed, but to no folder twice.

    Args:
        folder: the folder.
        without: folders that are passed over, resolved.

    Raises:
        OSError: if a folder cannot be read.
    """
    listing = Listing([], [])
    for path in sorted(_walk(folder, without)):
        (listing.images if is_image(path) else listing.others).append(path)
    return listing


def _walk(folder: Path, without: Collection[Path]) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise error

    seen = {os.path.realpath(path) for path in without}
    for parent, folders, files in os.walk(folder, followlinks=True, onerror=fail):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield from (Path(parent, name) for name in files if not is_hidden(name))


def is_image(path: Path) -> bool:
    """Returns whether a file is an image by its suffix, or without one by its first bytes."""
    if path.suffix:
        return path.suffix.lower() in SUFFIXES and _can_read(path.suffix)
    try:
        with Image.open(path, formats=known_formats()):
            return True
    except Exception:  # a plug-in of Pillow may raise anything for a file that is no image
        return False


def known_formats() -> list[str]:
    """Returns those of `FORMATS` that this build of Pillow reads."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _can_read(suffix: str) -> bool:
    """Returns whether this build of Pillow reads a format."""
    return Image.registered_extensions().get(suffix.lower()) in Image.OPEN


def note_unread(others: Collection[Path], notes: Notes) -> None:
    """Notes files that are not read, by suffix."""
    for path in others:
        kind = f"{path.suffix} files" if path.suffix else "files without suffix, not images,"
        notes.count(f"{kind} are not read", path)
