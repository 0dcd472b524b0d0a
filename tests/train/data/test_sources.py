"""The name of a dataset: which source it selects, and the error for an unknown one."""

from pathlib import Path

import numpy as np
import pytest
from loading import arrays, read, refused, write_images


@pytest.mark.parametrize("name", ["nosuch", "fashon_mnist", "", "./nowhere", "no/such/folder"])
def test_unknown_name_is_refused(name: str, tmp_path: Path) -> None:
    said = refused(name, data_dir=str(tmp_path))
    assert said.startswith(f"data.name={name!r} is unknown")
    for allowed in ("'bundled'", "'mnist'", ".npz", "folder of images", "tensorflow-datasets"):
        assert allowed in said
    assert ("did you mean 'fashion_mnist'?" in said) == (name == "fashon_mnist")


def test_a_file_of_another_kind_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "signs.zip").write_bytes(b"PK")
    said = refused(tmp_path / "signs.zip")
    assert "is a file that is not read" in said
    assert "unpack" in said
    assert "no such folder" not in said


def test_a_tilde_is_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    np.savez(tmp_path / "mine.npz", **arrays())
    assert len(read("~/mine.npz").y_train) == 12
    assert "~nobody-here/x" in refused("~nobody-here/x")


def test_a_folder_may_be_called_like_an_archive(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write_images(tmp_path / "mine.npz" / label, 2)
    assert read(tmp_path / "mine.npz").class_names == ("a", "b")
