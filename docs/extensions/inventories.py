"""Links to other libraries' pages, without fetching their inventories.

Intersphinx reads an ``objects.inv`` from each site. A build that must work without a network
cannot, so the few names that this site refers to are listed here, with their addresses, and written
as inventories. A name that is missing here is an error of the strict build.
"""

import zlib
from pathlib import Path

SITES = {
    "python": (
        "https://docs.python.org/3/",
        {
            "py:class": {
                "bool": "library/functions.html#bool",
                "collections.abc.Callable": "library/collections.abc.html#collections.abc.Callable",
                "collections.abc.Mapping": "library/collections.abc.html#collections.abc.Mapping",
                "collections.abc.Sequence": "library/collections.abc.html#collections.abc.Sequence",
                "dict": "library/stdtypes.html#dict",
                "float": "library/functions.html#float",
                "int": "library/functions.html#int",
                "object": "library/functions.html#object",
                "str": "library/stdtypes.html#str",
                "tuple": "library/stdtypes.html#tuple",
                "typing.Any": "library/typing.html#typing.Any",
            },
            "py:exception": {
                "TypeError": "library/exceptions.html#TypeError",
                "ValueError": "library/exceptions.html#ValueError",
            },
            "py:data": {"None": "library/constants.html#None"},
        },
    ),
    "numpy": (
        "https://numpy.org/doc/stable/",
        {
            "py:class": {
                "numpy.bool": "reference/arrays.scalars.html#numpy.bool",
                "numpy.integer": "reference/arrays.scalars.html#numpy.integer",
                "numpy.ndarray": "reference/generated/numpy.ndarray.html#numpy.ndarray",
            },
        },
    ),
    "jax": (
        "https://docs.jax.dev/en/latest/",
        {
            "py:class": {
                "jax.Array": "_autosummary/jax.Array.html#jax.Array",
                "jax.typing.ArrayLike": "_autosummary/jax.typing.ArrayLike.html",
                "jax.typing.DTypeLike": "_autosummary/jax.typing.DTypeLike.html",
            },
            "py:module": {
                "jax.image": "jax.image.html#module-jax.image",
            },
        },
    ),
    "flax": (
        "https://flax.readthedocs.io/en/latest/",
        {
            "py:class": {
                "flax.nnx.Module": "api_reference/flax.nnx/module.html#flax.nnx.Module",
                "flax.nnx.Rngs": "api_reference/flax.nnx/rnglib.html#flax.nnx.Rngs",
                "flax.nnx.Linear": "api_reference/flax.nnx/nn/linear.html#flax.nnx.Linear",
                "flax.linen.Module": "api_reference/flax.linen/module.html#flax.linen.Module",
                "flax.linen.Dense": "api_reference/flax.linen/layers.html#flax.linen.Dense",
            },
        },
    ),
    "jaxtyping": (
        "https://docs.kidger.site/jaxtyping/",
        {
            "py:class": {
                f"jaxtyping.{name}": "api/array/#dtype" for name in ("Bool", "Float", "Int", "Key")
            },
        },
    ),
}


def write(folder: Path) -> dict[str, tuple[str, tuple[str]]]:
    """Writes an inventory for each site and returns ``intersphinx_mapping``."""
    folder.mkdir(parents=True, exist_ok=True)
    mapping = {}
    for project, (address, kinds) in SITES.items():
        entries = [
            f"{name} {kind} 1 {place} -\n"
            for kind, names in kinds.items()
            for name, place in names.items()
        ]
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n"
        head += "# The remainder of this file is compressed using zlib.\n"
        path = folder / f"{project}.inv"
        path.write_bytes(head.encode() + zlib.compress("".join(entries).encode()))
        mapping[project] = (address, (str(path),))
    return mapping
