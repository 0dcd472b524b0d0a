"""JSON files: written whole or not at all, and one line for a damaged one."""

import os
from pathlib import Path

import pytest

from train.errors import UserError
from train.run.json_files import read_json, write_json


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": 1})
    assert read_json(path, ("x",), "") == {"x": 1}
    with pytest.raises(TypeError):
        write_json(path, {"x": object()})
    assert read_json(path, ("x",), "") == {"x": 1}
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"y": 1}', "\0", '{"x": 1}}'])
def test_damage_is_one_line_with_the_file_and_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"a\.json is damaged \(.*\); delete it\.$") as error:
        read_json(path, ("x",), "delete it")
    assert "\n" not in str(error.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is damaged"):
        read_json(path, ("x",), "delete it")
