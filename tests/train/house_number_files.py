"""Writes house numbers in the format of the original archives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from PIL import Image


class Digit(NamedTuple):
    left: float
    top: float
    width: float
    height: float
    label: float  # 10 is the digit 0


def write_house_numbers(
    folder: Path, images: Sequence[tuple[np.ndarray, Sequence[Digit]]], names: Sequence[str] = ()
) -> None:
    """Writes ``1.png``, ... and ``digitStruct.mat``, laid out as MATLAB 7.3 does."""
    folder.mkdir(parents=True)
    references = h5py.special_dtype(ref=h5py.Reference)
    with h5py.File(folder / "digitStruct.mat", "w") as file:
        hidden: Any = file.create_group("#refs#")

        def keep(values: np.ndarray) -> h5py.Reference:
            return hidden.create_dataset(f"v{len(hidden)}", data=values).ref

        columns: dict[str, list[h5py.Reference]] = {"name": [], "bbox": []}
        for index, (pixels, digits) in enumerate(images):
            Image.fromarray(pixels).save(folder / f"{1 + index}.png")
            name = names[index] if names else f"{1 + index}.png"
            columns["name"].append(keep(np.array([[ord(letter)] for letter in name], np.uint16)))
            box = hidden.create_group(f"b{index}")
            for field in Digit._fields:
                values = [[np.float64(getattr(digit, field))] for digit in digits]
                if len(values) == 1:
                    box.create_dataset(field, data=np.array(values))
                else:
                    each = np.array([[keep(np.array([value]))] for value in values], references)
                    box.create_dataset(field, data=each, dtype=references)
            columns["bbox"].append(box.ref)
        group = file.create_group("digitStruct")
        for name, entries in columns.items():
            data = np.array(entries, references)[:, None]
            group.create_dataset(name, data=data, dtype=references)


def make_house_numbers(root: Path, counts: dict[str, int]) -> None:
    """Writes random pictures with one to five digits in each set."""
    random = np.random.default_rng(0)
    for split, count in counts.items():
        images = []
        for length in random.integers(1, 6, count).tolist():
            pixels = random.integers(0, 256, (40, 60, 3), np.uint8)
            digits = [
                Digit(3 + 9 * k, 5, 8, 20, int(random.integers(1, 11))) for k in range(length)
            ]
            images.append((pixels, digits))
        write_house_numbers(root / split, images)
