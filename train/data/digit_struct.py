"""Reads ``digitStruct.mat`` of Street View House Numbers: labels and boxes, image by image.

It is an HDF5 file, as MATLAB 7.3 writes it. A damaged one can crash the library that reads it, so
a child process reads, with bounded memory and time; it writes a line of JSON for each image.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

MEMORY = 2 << 30
"""Bytes that the child may use."""

SECONDS = 120
"""Seconds that the child may take, and one more for each 50 kB of the file."""

MOST_DIGITS, MOST_LETTERS = 100, 255


class HouseNumber(NamedTuple):
    """The digits in an image.

    Attributes:
        name: name of the image file.
        labels: the digits from left to right.
        box: left, top, right and lower edge of the digits together, in pixels.
    """

    name: str
    labels: tuple[int, ...]
    box: tuple[float, float, float, float]


def read_digit_struct(path: Path) -> list[HouseNumber]:
    """Reads labels and boxes of all images of a folder.

    Args:
        path: ``digitStruct.mat``.

    Raises:
        DataError: if it is missing, damaged, or in another format.
    """
    from train.data.dataset import DataError
    from train.data.progress import track
    from train.errors import shorten

    if not path.is_file():
        raise DataError(
            f"{path} does not exist; unpack the archives of SVHN's Format 1 (train.tar.gz, "
            "test.tar.gz) and give --data.folder the folder that holds train/ and test/."
        )
    command = [sys.executable, "-P", __file__, str(path)]  # -P: no module beside it is imported
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        timer = threading.Timer(SECONDS + path.stat().st_size / 50_000, child.kill)
        timer.start()
        try:
            count = _receive(child.stdout)
            numbers = [
                HouseNumber(name, tuple(labels), tuple(box))
                for name, labels, box in (
                    _receive(child.stdout)
                    for _ in track(range(count), f"Reading {path.parent.name}/{path.name}")
                )
            ]
        except ValueError as error:
            fault = shorten(str(error) or "its reader has ended")
            raise DataError(f"{path} is damaged or in another format: {fault}.") from error
        finally:
            timer.cancel()
    return numbers


def _receive(stream: IO[bytes]) -> Any:
    """Returns what the child has written in one line.

    Raises:
        ValueError: if it has found a fault, or has ended.
    """
    line = stream.readline()
    found = json.loads(line) if line else {"fault": ""}
    if isinstance(found, dict):
        raise ValueError(found["fault"])
    return found


# ---- the child, which imports nothing of this package ------------------------------------------


def _read(path: str) -> Iterator[Any]:
    """Yields the number of images, then name, labels and box of each.

    Raises:
        ValueError: for what cannot be meant; h5py raises anything else for a damaged file.
    """
    import h5py

    with h5py.File(path, "r") as file:
        names, boxes = (_inside(file, f"digitStruct/{key}") for key in ("name", "bbox"))
        if names.size != boxes.size or names.size > 10**6:
            raise ValueError(f"it has {names.size} names and {boxes.size} boxes")
        yield int(names.size)
        for name, box in zip(names[()].ravel(), boxes[()].ravel(), strict=True):
            yield _read_number(file, name, box)


def _inside(group: Any, path: str) -> Any:
    """Returns a dataset that lies in the file itself: no link or storage leads out of it."""
    import h5py

    *above, last = path.split("/")
    for key in (*above, last):
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise ValueError(f"{key} is missing, or lies in another file")
        group = group[key]
    if not isinstance(group, h5py.Dataset) or group.external or group.is_virtual:
        raise ValueError(f"{last} is no array of this file")
    return group


def _read_number(file: Any, name: Any, box: Any) -> tuple[str, list[int], list[float]]:
    letters = file[name]
    if letters.size > MOST_LETTERS:
        raise ValueError(f"a name has {letters.size} letters")
    text = "".join(map(chr, letters[()].ravel().astype(int).tolist()))
    if not text or Path(text).name != text or "\0" in text:
        raise ValueError(f"{text!r} is no name of an image file")
    digits = sorted(
        zip(
            *(
                _numbers(file, _inside(file[box], key))
                for key in ("left", "top", "width", "height", "label")
            ),
            strict=True,
        )
    )
    for _, _, width, height, label in digits:
        if not (width > 0 and height > 0):
            raise ValueError(f"{text} has a box without a size, {width:g} x {height:g}")
        if label not in range(1, 11):
            raise ValueError(f"{text} has the label {label:g}; it must be 1 to 10")
    left, top = min(digit[0] for digit in digits), min(digit[1] for digit in digits)
    right = max(left + width for left, _, width, _, _ in digits)
    lower = max(top + height for _, top, _, height, _ in digits)
    edges = [left, top, right, lower]
    if not all(abs(edge) < 1e6 for edge in edges):
        raise ValueError(f"{text} has a box at {edges}")
    return text, [int(digit[4]) % 10 for digit in digits], edges  # 10 is the digit 0


def _numbers(file: Any, values: Any) -> list[float]:
    """Returns a number for each digit: a single one is stored as it is, several by reference."""
    if not 0 < values.size <= MOST_DIGITS:
        raise ValueError(f"an image has {values.size} digits")
    found = values[()].ravel()
    if values.dtype.kind != "O":
        numbers: list[float] = found.astype(float).tolist()
        return numbers
    inner = [file[reference] for reference in found]
    if any(each.size != 1 for each in inner):
        raise ValueError("a digit has several values")
    return [float(each[()].ravel()[0]) for each in inner]


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, ValueError):  # on Windows; under a lower limit
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))


if __name__ == "__main__":
    _limit_memory()
    try:
        for found in _read(sys.argv[1]):
            print(json.dumps(found))
    except ImportError:
        print(json.dumps({"fault": "reading it needs h5py: pip install h5py"}))
    except Exception as error:  # whatever HDF5 meets
        print(json.dumps({"fault": str(error) or type(error).__name__}))
