"""The file of an exported network: a zip of two members, read without Flax.

metadata.json  class names, shapes, the result, versions, the SHA-256 of the program
model.bin      the program with its weights, as ``jax.export`` serializes it

``jax.export.deserialize(model.bin).call(images)`` maps uint8 images ``(b, h, w, c)`` to
``{"probabilities": (b, k), "warps": [{"theta": (b, p), "features": (b, h', w', c)}, ...]}``. Both
members are stored, not compressed, so nothing grows when it is read. JAX reads a file for at least
six months after the version that wrote it.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export

from train.data.zip_files import open_zip, read_member
from train.errors import UserError, shorten
from train.evaluation.export_inspect import inspect_program
from train.evaluation.predictor import Predictor

METADATA, PROGRAM = "metadata.json", "model.bin"
FORMAT = 1

MAX_METADATA = 1 << 24
"""Bytes of ``metadata.json`` that are read: names of hundreds of thousands of classes."""

MAX_PROGRAM = 1 << 31
"""Bytes of ``model.bin`` that are read."""

_SHAPES = ("input_shape", "image_shape")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of a zip file: equal networks make equal files


class ModelFile(NamedTuple):
    """An exported network.

    Attributes:
        metadata: what ``metadata.json`` holds.
        call: the network, uint8 images ``(b, h, w, c)`` -> predictions, as JAX arrays.
    """

    metadata: dict[str, Any]
    call: Callable[[Any], Any]


def write_model(path: Path, metadata: dict[str, Any], program: bytes) -> None:
    """Writes the file of an exported network; adds format and checksum to its metadata."""
    checked = {"format": FORMAT, **metadata, "sha256": hashlib.sha256(program).hexdigest()}
    text = json.dumps(checked, indent=2) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in ((METADATA, text.encode()), (PROGRAM, program)):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)


def is_model(path: Path) -> bool:
    """Returns whether a file is an exported network by its members."""
    try:
        with open_zip(path) as archive:
            return sorted(archive.namelist()) == [METADATA, PROGRAM]
    except (OSError, ValueError, zipfile.BadZipFile):
        return False


def read_model(path: Path) -> ModelFile:
    """Reads an exported network.

    A program is inspected in a process of its own before this one touches it.

    Raises:
        UserError: if the file is missing, damaged, no exported network, or holds a program that
            does not fit its metadata or could do more than compute.
    """
    if not path.is_file():
        raise UserError(f"--model {path} does not exist; write it with python -m train export.")
    try:
        with open_zip(path) as archive:
            if sorted(archive.namelist()) != [METADATA, PROGRAM]:
                raise zipfile.BadZipFile(f"it must hold {METADATA} and {PROGRAM} alone")
            if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
                raise zipfile.BadZipFile("its members must be stored, not compressed")
            metadata = _read_metadata(read_member(archive, METADATA, MAX_METADATA))
            program = read_member(archive, PROGRAM, MAX_PROGRAM)
        if hashlib.sha256(program).hexdigest() != metadata["sha256"]:
            raise ValueError(f"{PROGRAM} is not the one that {METADATA} describes")
        inspect_program(program)
        return ModelFile(metadata, _load(metadata, program))
    except (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile) as error:
        raise UserError(
            f"--model {path} is damaged or no exported network ({shorten(error)}); write it "
            "again with python -m train export."
        ) from error


def _read_metadata(content: bytes) -> dict[str, Any]:
    values = json.loads(content)
    if not isinstance(values, dict):
        raise ValueError(f"{METADATA} holds no object")
    if values.get("format") != FORMAT:
        raise ValueError(f"its format is {str(values.get('format'))[:20]}, not {FORMAT}")
    for name in _SHAPES:
        shape = values.get(name)
        if not isinstance(shape, list) or not all(
            type(x) is int and 0 < x < 1 << 20 for x in shape
        ):
            raise ValueError(f"{METADATA} has no {name}")
        values[name] = tuple(shape)
        if len(shape) != 3 or np.prod(shape, dtype=np.float64) > 1 << 28:
            raise ValueError(f"{name} is {values[name]}; it must be the (h, w, c) of an image")
    names = values.get("class_names")
    if not isinstance(names, list) or not names or not all(isinstance(x, str) for x in names):
        raise ValueError(f"{METADATA} has no class_names")
    if type(values.get("batch_size")) is not int or not 0 < values["batch_size"] < 1 << 20:
        raise ValueError(f"{METADATA} has no batch_size")
    if not isinstance(values.get("sha256"), str):
        raise ValueError(f"{METADATA} has no sha256")
    return values


def _load(metadata: dict[str, Any], program: bytes) -> Callable[[Any], Any]:
    """Returns the function of a program that has been inspected."""
    try:
        exported = export.deserialize(bytearray(program))
        (images,) = exported.in_avals
        shape, dtype = images.shape[1:], images.dtype
    except Exception as error:  # whatever its reader meets
        raise ValueError(f"{PROGRAM} cannot be read: {error}") from error
    if shape != metadata["input_shape"] or dtype != np.uint8:
        raise ValueError(f"{PROGRAM} takes {dtype} {shape}, not uint8 {metadata['input_shape']}")
    here = export.default_export_platform()
    if here not in exported.platforms:
        raise ValueError(f"it runs on {', '.join(exported.platforms)}, and this is {here}")
    return exported.call


def read_predictor(path: Path) -> Predictor:
    """Returns the classifier of a file.

    Raises:
        UserError: if it cannot be read, or is no classifier.
    """
    metadata, call = read_model(path)
    height, width, channels = metadata["input_shape"]
    names = metadata["class_names"]
    step = jax.jit(call)

    def run(images: np.ndarray) -> Any:
        with _explain_tampering(path):
            return jax.device_get(step(images))

    with _explain_tampering(path):
        image = jax.ShapeDtypeStruct((1, height, width, channels), np.uint8)
        shapes = jax.tree.map(lambda x: x.shape, jax.eval_shape(call, image))
    if shapes.get("probabilities") != (1, len(names)) or "warps" not in shapes:
        raise UserError(f"--model {path} is no classifier; predict is for classification.")
    return Predictor(
        tuple(names), metadata["input_shape"], metadata["image_shape"], metadata["batch_size"], run
    )


@contextmanager
def _explain_tampering(path: Path) -> Iterator[None]:
    """Names the file whose program JAX's compiler refuses, although it can be read."""
    try:
        yield
    except Exception as error:
        raise UserError(f"--model {path} cannot be run ({shorten(error)}).") from error
