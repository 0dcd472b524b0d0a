"""Image files that are read by index give the images that reading all of them gives."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import build, refused, write_images
from test_archive import check_same

from train.data.lazy_images import lazy_source_images


def test_files_of_a_folder_are_those_in_memory(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", 6)
    write_images(tmp_path / "dogs", 6, mode="RGB")  # so grey images have three channels
    check_same(build(tmp_path, memory_limit=0), build(tmp_path))


def test_files_of_any_size_are_resized(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", 6)
    write_images(tmp_path / "dogs", 6, size=(4, 12))
    check_same(build(tmp_path, memory_limit=0, image_size=8), build(tmp_path, image_size=8))
    said = refused(tmp_path, memory_limit=0)
    assert "images differ in size" in said
    assert "4 x 12" in said
    assert "--data.image-size" in said


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_images(tmp_path / "cats", 6)
    write_images(tmp_path / "dogs", 6)
    (tmp_path / "dogs" / "003.png").write_bytes(b"no image")
    assert "003.png is damaged" in refused(tmp_path, memory_limit=0)


class Source:
    """A data source as tensorflow-datasets has it."""

    def __init__(self, images: Any) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, rows: Any) -> list[dict[str, Any]]:
        return [{"image": self.images[i]} for i in rows]


def test_records_are_read_and_resized() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6, 3), np.uint8)
    lazy = lazy_source_images("train", Source(images), 0)
    np.testing.assert_array_equal(np.asarray(lazy[[4, 1]]), images[[4, 1]])
    assert lazy_source_images("train", Source(images), 3).shape == (5, 3, 3, 3)
    with pytest.raises(ValueError, match="train example 0 is uint16"):
        lazy_source_images("train", Source(images.astype(np.uint16)), 0)
