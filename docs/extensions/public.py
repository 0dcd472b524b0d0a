"""What is public: the names of stn_jax and of the modules that it names."""

import importlib
from pathlib import Path
from types import ModuleType

MODULES = ("stn_jax", "stn_jax.nn", "stn_jax.linen", "stn_jax.lasagne", "stn_jax.models")


def names_of(module: ModuleType) -> list[str]:
    """Lists the public names of a module: its ``__all__``, or all but modules and private names."""
    if hasattr(module, "__all__"):
        return sorted(module.__all__)
    return sorted(
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and not isinstance(thing, ModuleType)
    )


def public_names() -> dict[str, object]:
    """Returns every public object by its full name."""
    found = {}
    for path in MODULES:
        module = importlib.import_module(path)
        found |= {f"{path}.{name}": getattr(module, name) for name in names_of(module)}
    return found


def names_without_a_page(api: Path) -> list[str]:
    """Lists the public names that no page in ``docs/api`` lists under their module."""
    listed = set()
    for path in api.glob("*.rst"):
        module = ""
        for line in path.read_text().splitlines():
            if line.startswith(".. currentmodule::"):
                module = line.split()[-1]
            elif module:
                listed.add(f"{module}.{line.strip()}")
    return sorted(set(public_names()) - listed)
