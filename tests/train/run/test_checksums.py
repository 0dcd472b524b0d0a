"""Sums of a folder: every change is found, and nothing but regular files inside it is read."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from train.run.checksums import FILE, find_damage, write_checksums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with three files and their sums."""
    root = tmp_path / "folder"
    (root / "d").mkdir(parents=True)
    for name in ("a", "d/b", "d/c ü"):
        (root / name).write_bytes(name.encode() * 1000)
    write_checksums(root)
    return root


def test_a_whole_folder_has_no_damage(folder: Path) -> None:
    assert find_damage(folder) is None
    (folder / ".DS_Store").write_text("of a file manager")
    assert find_damage(folder) is None


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
def test_sha256sum_reads_the_sums(folder: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", FILE], cwd=folder, check=True)


@pytest.mark.parametrize("name", ["a", "d/b", FILE])
def test_every_flipped_bit_is_found(folder: Path, name: str) -> None:
    kept = (folder / name).read_bytes()
    for place in range(0, len(kept), 37):
        changed = bytearray(kept)
        changed[place] ^= 1 << place % 8
        (folder / name).write_bytes(changed)
        assert find_damage(folder), place
    (folder / name).write_bytes(kept[:-1])
    assert find_damage(folder)
    (folder / name).write_bytes(kept)
    assert find_damage(folder) is None


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "d" / "b").unlink()
    assert find_damage(folder) == "d/b is missing"
    shutil.rmtree(folder / "d")
    (folder / "d").write_text("")
    assert find_damage(folder) == "d/b is missing"
    (folder / FILE).unlink()
    assert find_damage(folder) == f"it has no {FILE}"


@pytest.mark.parametrize("name", ["../outside", "/etc/hosts", "d/../a", "./a", "d//b", ""])
def test_names_that_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    (folder / FILE).write_text(f"{'0' * 64}  {name}\n")
    assert find_damage(folder) == f"its {FILE} has changed"


def test_only_regular_files_are_read(folder: Path) -> None:
    (folder / "a").unlink()
    (folder / "a").symlink_to("/dev/zero")
    assert find_damage(folder) == "a is no file"
    (folder / "a").unlink()
    os.mkfifo(folder / "a")
    assert find_damage(folder) == "a is no file"
    (folder / FILE).unlink()
    os.mkfifo(folder / FILE)
    assert find_damage(folder) == f"its {FILE} has changed"
