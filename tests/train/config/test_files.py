"""Config files: what they may hold, and errors in them."""

from pathlib import Path

import pytest

from train.config.files import load_config, run_file, sources_of
from train.errors import UserError


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "from train.config import *\nTrainConfig(stepz=1)",
            "TrainConfig has no field 'stepz'; perhaps you meant 'steps'",
        ),
        (
            "from train.config import *\nTrainConfig(steps=-1)",
            "train.steps=-1 is not allowed; it must be above 0",
        ),
        (
            "from train.config import *\nSGD(decay=1)",
            "SGD has no field 'decay'; it has learning_rate",
        ),
        ("get_config = lambda: 3", "returned an object of type int"),
        ("x = 1", "it has no get_config"),
        ("import nosuch", "ModuleNotFoundError: No module named 'nosuch'"),
        ("x = = 1", "SyntaxError"),
        ("def get_config():\n    return [][1]", "IndexError: list index out of range (line 2)"),
    ],
)
def test_errors_in_config_files_are_explained(tmp_path: Path, source: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(source)
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert message in str(caught.value)
    assert "mine.py" in str(caught.value)


def test_a_config_file_may_import_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_a_config.py").write_text("STEPS = 7\n")
    path = tmp_path / "mine.py"
    path.write_text(
        "from stn_jax.models import FCN\n"
        "from train.config import Config, TrainConfig\n"
        "from neighbour_of_a_config import STEPS\n"
        "def get_config():\n    return Config(FCN(), train=TrainConfig(steps=STEPS))\n"
    )
    assert load_config(path).train.steps == 7
    assert sources_of(run_file(path).__name__) == {
        "config.py": path.read_text(),
        "neighbour_of_a_config.py": "STEPS = 7\n",
    }


def test_the_same_content_is_one_module(tmp_path: Path) -> None:
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("class Net:\n    pass\n")
    one, other = run_file(tmp_path / "a.py"), run_file(tmp_path / "b.py")
    assert one.Net is other.Net
    assert sources_of(one.__name__) == {"config.py": "class Net:\n    pass\n"}
    assert sources_of("train.config") == {}
