"""Which files are images: suffixes in any case, contents without a suffix, and debris."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loading import write_images
from PIL import Image

from train.data.listing import is_hidden, is_image, list_files, list_visible
from train.data.notes import Notes


def names(paths: Any) -> list[str]:
    return [path.name for path in paths]


def test_images_of_sub_folders_are_listed_in_order_and_debris_is_not(tmp_path: Path) -> None:
    write_images(tmp_path / "b" / "deeper", 1)
    write_images(tmp_path, 2, suffix=".PNG")
    write_images(tmp_path / ".ipynb_checkpoints", 1)
    write_images(tmp_path / "__MACOSX", 1)
    write_images(tmp_path / "@eaDir", 1)
    for name in (".DS_Store", "._000.png", "Thumbs.db", "desktop.ini", "notes.txt", "clip.heic"):
        (tmp_path / name).write_bytes(b"junk")
    listing = list_files(tmp_path)
    assert names(listing.images) == ["000.PNG", "001.PNG", "000.png"]
    assert names(listing.others) == ["clip.heic", "notes.txt"]
    assert names(list_visible(tmp_path)) == ["000.PNG", "001.PNG", "b", "clip.heic", "notes.txt"]


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".pbm", ".tga", ".JPEG", ".avif", ""])
def test_formats_are_known_by_suffix_or_content(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"leaf{suffix}"
    kind = {".jfif": "JPEG", ".jpe": "JPEG", ".pbm": "PPM", "": "PNG"}.get(suffix)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, kind)
    assert is_image(path)


def test_other_files_are_no_images(tmp_path: Path) -> None:
    for name in ("README", "LICENSE", "empty", "mask.npy", "scan.dcm", "photo.jpg.txt", "a.pdf"):
        (tmp_path / name).write_text("" if name == "empty" else "words and more words\n" * 20)
        assert not is_image(tmp_path / name)


def test_links_are_followed_once_and_given_folders_left_out(tmp_path: Path) -> None:
    write_images(tmp_path / "in" / "out", 1)
    write_images(tmp_path / "elsewhere", 1, suffix=".bmp")
    os.symlink(tmp_path / "in", tmp_path / "in" / "loop")
    os.symlink(tmp_path / "elsewhere", tmp_path / "in" / "linked")
    assert names(list_files(tmp_path / "in").images) == ["000.bmp", "000.png"]
    assert names(list_files(tmp_path / "in", without=[tmp_path / "in" / "out"]).images) == [
        "000.bmp"
    ]


def test_unreadable_folders_are_no_empty_ones(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        list_files(tmp_path / "nowhere")


def test_hidden_names() -> None:
    assert all(map(is_hidden, (".git", "__MACOSX", "$RECYCLE.BIN", "lost+found", "thumbs.db")))
    assert not any(map(is_hidden, ("$$", "a.b", "__init__", "thumbs")))
    assert Notes().lines() == ()
