"""The README's Python runs as it stands."""

import re
from pathlib import Path

import jax

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names = {}
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        for block in blocks:
            exec(compile(block, str(README), "exec"), names)
    assert names["turned"].shape == (8, 28, 28, 1)
    assert names["features"].shape == (8, 20, 20, 1)
    printed = capsys.readouterr().out
    assert "[[" in printed
    assert "nan" not in printed
