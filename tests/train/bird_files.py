"""Writes photographs and lists in the format of CUB-200-2011."""

from pathlib import Path

import numpy as np
from PIL import Image

SPECIES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")


def make_birds(root: Path, count: int = 30, *, size: tuple[int, int] = (40, 30)) -> Path:
    """Writes random pictures of three species, two of three images for training."""
    random = np.random.default_rng(0)
    width, height = size
    lists: dict[str, list[str]] = {name: [] for name in ("images", "labels", "split", "boxes")}
    for index in range(count):
        species, number = SPECIES[index % 3], 1 + index
        file = f"{species}/{species[4:]}_{number:04}.jpg"
        path = root / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        lists["images"].append(f"{number} {file}")
        lists["labels"].append(f"{number} {1 + index % 3}")
        lists["split"].append(f"{number} {int(index // 3 % 3 != 2)}")
        lists["boxes"].append(f"{number} 10.0 5.0 20.0 12.0")
    names = {
        "images": "images.txt",
        "labels": "image_class_labels.txt",
        "split": "train_test_split.txt",
        "boxes": "bounding_boxes.txt",
    }
    for key, name in names.items():
        (root / name).write_text("\n".join(lists[key]) + "\n")
    (root / "classes.txt").write_text("".join(f"{1 + i} {s}\n" for i, s in enumerate(SPECIES)))
    return root
