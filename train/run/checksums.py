"""SHA-256 sums of the files of a folder, as ``sha256sum`` writes and checks them."""

import hashlib
import os
import re
import stat
from pathlib import Path

FILE = "SHA256SUMS"
"""Name of the file of sums; ``sha256sum -c SHA256SUMS`` in the folder checks them too."""

LARGEST = 64 << 20
"""Bytes of the largest list that is read into memory; that of a checkpoint has a few thousand."""

_LINE = re.compile(r"([0-9a-f]{64})  ([^\0\n]+)")


def write_checksums(folder: Path) -> None:
    """Writes the sums of all files of a folder, through to the disk."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != FILE)
    with (folder / FILE).open("w", encoding="utf-8") as out:
        for path in files:
            out.write(f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n")
        out.flush()
        os.fsync(out.fileno())


def find_damage(folder: Path) -> str | None:
    """Returns what is wrong with a folder, such as ``state/d/3f has changed``, or None.

    Every file that has a sum is read; files without one, such as those of file managers, are not.

    Raises:
        OSError: if a file that is there cannot be read.
    """
    try:
        if _size(folder / FILE) > LARGEST:
            return f"its {FILE} has changed"
        *lines, end = (folder / FILE).read_bytes().decode().split("\n")
    except FileNotFoundError:
        return f"it has no {FILE}"
    except ValueError:  # no UTF-8, or no regular file
        return f"its {FILE} has changed"
    for match in [_LINE.fullmatch(line) for line in lines] if lines and not end else [None]:
        if match is None or not _is_inside(match[2]):
            return f"its {FILE} has changed"
        try:
            path = folder / match[2]
            _size(path)
            if _digest(path) != match[1]:
                return f"{match[2]} has changed"
        except (FileNotFoundError, NotADirectoryError):
            return f"{match[2]} is missing"
        except ValueError:
            return f"{match[2]} is no file"
    return None


def _is_inside(name: str) -> bool:
    parts = name.split("/")
    return not os.path.isabs(name) and all(part not in ("", ".", "..") for part in parts)


def _size(path: Path) -> int:
    """Returns the size of a regular file; a link or a pipe is a ValueError."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(path)
    return found.st_size


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
