"""Zip files of unknown origin: directory and members are bounded before they are read."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_DIRECTORY = 1 << 20
"""Bytes of a zip file's directory, some 10,000 members; Python reads all of it into objects."""

COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Others let a file choose how much memory its decompression takes."""

UNUSUAL_FLAGS = 1 << 0 | 1 << 5 | 1 << 6
"""Flags of a member that is encrypted, patched data, or encrypted strongly."""


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip file; nothing in it is ever unpacked into a folder.

    Args:
        path: the file.

    Raises:
        zipfile.BadZipFile: if it is none or of a later version than Python reads, has too many
            members, two of one name, or one that is encrypted or compressed other than by deflate.
    """
    with path.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]
        size = end[5] if end else 0
        if size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(
                f"its directory has {size:,} bytes; at most {MAX_DIRECTORY:,} are read"
            )
        try:
            opened = zipfile.ZipFile(file)
        except NotImplementedError as error:  # a later version, or what looks like one
            raise zipfile.BadZipFile(str(error)) from error
        with opened as archive:
            seen: set[str] = set()
            for info in archive.infolist():
                if info.filename in seen:
                    raise zipfile.BadZipFile(f"two members are called {info.filename[:100]!r}")
                if info.flag_bits & UNUSUAL_FLAGS or info.compress_type not in COMPRESSIONS:
                    raise zipfile.BadZipFile(
                        f"{info.filename[:100]!r} is encrypted or compressed in an unusual way"
                    )
                seen.add(info.filename)
            yield archive


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """Reads a member, and never more than it says it has.

    Raises:
        KeyError: if there is no such member.
        zipfile.BadZipFile: if it has more bytes than allowed, or is damaged.
    """
    info = archive.getinfo(name)
    if info.file_size > max_bytes:
        raise zipfile.BadZipFile(
            f"{name} has {info.file_size:,} bytes; at most {max_bytes:,} are read"
        )
    with archive.open(info) as member:
        content = member.read(info.file_size)  # without a number, a bomb would unpack 2 GB at once
    if len(content) != info.file_size:
        raise zipfile.BadZipFile(f"{name} is cut off")
    return content
