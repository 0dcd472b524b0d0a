"""The house stands on its floors: a file imports only from floors below its own."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NUMERICS = "_jit _mesh _checks coordinates sampling transforms warp regularizers".split()
FLOORS = [*NUMERICS, "nn", "linen", "lasagne", "models"]
FILES = sorted((ROOT / "stn_jax").rglob("*.py"))
each = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, at any depth of its code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor_of(module: str) -> str | None:
    """The name in ``stn_jax.name...``; None for other packages."""
    parts = module.split(".")
    if parts[0] != "stn_jax":
        return None
    assert len(parts) > 1, "a floor imports from floors, not from the roof (stn_jax itself)"
    return parts[1]


def own_floor(path: Path) -> str:
    return path.relative_to(ROOT / "stn_jax").parts[0].removesuffix(".py")


@each
def test_imports_go_down(path: Path) -> None:
    if path == ROOT / "stn_jax" / "__init__.py":
        return
    own = own_floor(path)
    for module in imported(path):
        below = floor_of(module)
        if below is not None:
            assert FLOORS.index(below) <= FLOORS.index(own), f"{own} imports {module} from above"


@each
def test_numerics_import_no_flax_and_the_library_no_training(path: Path) -> None:
    roots = {module.split(".")[0] for module in imported(path)}
    assert not roots & {"train", "configs", "benchmarks", "optax", "orbax", "tyro"}
    if own_floor(path) in NUMERICS:
        assert "flax" not in roots


def test_every_file_has_a_floor() -> None:
    assert {own_floor(path) for path in FILES} == {*FLOORS, "__init__"}
