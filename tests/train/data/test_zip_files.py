"""Zip files: bounded before they are read."""

import zipfile
from pathlib import Path

import pytest

from train.data.zip_files import open_zip, read_member
from train.evaluation.export_file import is_model


def write(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def read(path: Path, name: str, most: int = 100) -> bytes:
    with open_zip(path) as archive:
        return read_member(archive, name, most)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_read(tmp_path: Path, compression: int) -> None:
    path = write(tmp_path / "it.zip", {"a": b"1" * 100, "b": b""}, compression)
    assert read(path, "a") == b"1" * 100
    assert read(path, "b") == b""
    with pytest.raises(zipfile.BadZipFile, match="a has 100 bytes; at most 99 are read"):
        read(path, "a", 99)
    with pytest.raises(KeyError):
        read(path, "c")


def test_no_more_is_unpacked_than_a_member_claims(tmp_path: Path) -> None:
    path = write(tmp_path / "it.zip", {"a": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\1\2")
    content[entry + 24 : entry + 28] = (50).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile):  # 50 bytes of it, and these have another checksum
        read(path, "a")


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (6, 255, "zip file version 25.5"),
        *((8, 1 << bit, "encrypted or compressed in an unusual way") for bit in (0, 5, 6)),
    ],
)
def test_what_python_cannot_read_is_no_zip_file(
    tmp_path: Path, offset: int, value: int, words: str
) -> None:
    path = write(tmp_path / "it.zip", {"a": b"1"})
    content = bytearray(path.read_bytes())
    content[content.rindex(b"PK\1\2") + offset] = value
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match=words), open_zip(path):
        pass
    assert not is_model(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_strange_directories_are_refused(tmp_path: Path) -> None:
    many = write(tmp_path / "many.zip", {f"{i:060}": b"" for i in range(10_000)})
    odd = write(tmp_path / "odd.zip", {"a": b"1"}, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        for content in ("1", "2"):
            archive.writestr("a", content)
    (tmp_path / "none.zip").write_bytes(b"PK")
    for path, words in (
        (many, "its directory has 1,060,000 bytes"),
        (odd, "compressed in an unusual way"),
        (tmp_path / "twice.zip", "two members are called 'a'"),
        (tmp_path / "none.zip", "not a zip file"),
    ):
        with pytest.raises(zipfile.BadZipFile, match=words), open_zip(path):
            pass
