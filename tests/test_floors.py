"""The house stands on its floors: a file imports only from floors below its own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = "_checks _mesh coordinates sampling transforms warp regularizers nn linen lasagne models".split()
FILES = sorted((ROOT / "stn_jax").rglob("*.py"))


def imported(path):
    """Modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module):
    """The floor's number of ``stn_jax.floor...``; None for other packages."""
    parts = module.split(".")
    if parts[0] != "stn_jax":
        return None
    assert len(parts) > 1, "a floor imports from floors, not from the roof (stn_jax itself)"
    return FLOORS.index(parts[1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    own = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    if path == ROOT / "stn_jax" / "__init__.py":
        return
    for module in imported(path):
        below = floor(module)
        assert below is None or below <= floor(own), f"{own} imports {module} from a floor above"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_numerics_know_no_flax_and_the_library_no_training(path):
    roots = {module.split(".")[0] for module in imported(path)}
    assert not roots & {"train", "configs", "optax", "orbax", "tyro"}
    if path.parent.name in ("stn_jax", "sampling", "transforms") and path.name != "linen.py":
        assert "flax" not in roots


def test_every_file_has_a_floor():
    top = {path.relative_to(ROOT / "stn_jax").parts[0].removesuffix(".py") for path in FILES}
    assert top <= {*FLOORS, "__init__"}


def test_files_are_rooms():
    """No file is so long that it wants a wall."""
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in ("stn_jax", "train", "configs")
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert not long
