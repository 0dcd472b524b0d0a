"""The file of an exported network: damage and programs that do more than compute are refused."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from train.errors import UserError
from train.evaluation.export_file import read_model, read_predictor, write_model
from train.run.devices import EXPORTED_PLATFORMS

pytestmark = pytest.mark.usefixtures("plain_numerics")

METADATA: dict[str, Any] = {
    "class_names": ["a", "b"],
    "input_shape": [4, 4, 1],
    "image_shape": [4, 4, 1],
    "batch_size": 5,
}


def brightness(images: jax.Array) -> dict[str, Any]:
    mean = jnp.mean(images.astype(jnp.float32) / 255, axis=(1, 2, 3))
    return {"probabilities": jnp.stack([mean, 1 - mean], axis=-1), "warps": []}


def make(function: Callable[..., Any] = brightness, dtype: Any = jnp.uint8) -> bytes:
    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, 4, 4, 1), dtype)
    program = export.export(jax.jit(function), platforms=EXPORTED_PLATFORMS)(images)
    return bytes(program.serialize())


@pytest.fixture(scope="module")
def program() -> bytes:
    return make()


def write(path: Path, program: bytes, **changes: Any) -> Path:
    write_model(path, METADATA | changes, program)
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_predictor(path)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


def test_what_is_written_is_read(tmp_path: Path, program: bytes) -> None:
    predictor = read_predictor(write(tmp_path / "model.stn", program))
    assert predictor.class_names == ("a", "b")
    assert (predictor.input_shape, predictor.batch_size) == ((4, 4, 1), 5)
    found = predictor.call(np.full((3, 4, 4, 1), 255, np.uint8))
    np.testing.assert_array_equal(found["probabilities"], [[1, 0]] * 3)


def test_equal_networks_make_equal_files(tmp_path: Path, program: bytes) -> None:
    one, other = (write(tmp_path / name, program).read_bytes() for name in "ab")
    assert one == other


def test_damage_is_named_in_a_line(tmp_path: Path, program: bytes) -> None:
    path = write(tmp_path / "model.stn", program)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for content in (b"", b"PK", whole[:-30], whole[: len(whole) // 2], bytes(flipped)):
        path.write_bytes(content)
        assert "damaged or no exported network" in refused(path)
    assert "does not exist" in refused(tmp_path / "nosuch.stn")


def seal(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_only_the_two_members_are_read(tmp_path: Path, program: bytes) -> None:
    text = json.dumps(METADATA | {"format": 1, "sha256": hashlib.sha256(program).hexdigest()})
    good = {"metadata.json": text.encode(), "model.bin": program}
    path = tmp_path / "model.stn"
    read_model(seal(path, good))
    assert "must hold" in refused(seal(path, good | {"../../evil.py": b""}))
    assert "must hold" in refused(seal(path, {"metadata.json": b"{}"}))
    assert "not compressed" in refused(seal(path, good, zipfile.ZIP_DEFLATED))
    assert "at most" in refused(seal(path, good | {"metadata.json": b" " * (1 << 24) + b"{}"}))
    deep = b'{"format":' + b"[" * 100_000
    assert "damaged" in refused(seal(path, good | {"metadata.json": deep}))
    assert "holds no object" in refused(seal(path, good | {"metadata.json": b"[]"}))
    assert "is not the one" in refused(seal(path, good | {"model.bin": program + b"\0"}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "its format is 2, not 1"),
        ({"input_shape": [4, 4]}, "input_shape"),
        ({"input_shape": [4, 4, 3]}, "takes uint8 (4, 4, 1), not"),
        ({"image_shape": [4, -4, 1]}, "has no image_shape"),
        ({"image_shape": [100_000, 100_000, 1]}, "image_shape is"),
        ({"image_shape": [4.0, 4, 1]}, "has no image_shape"),
        ({"class_names": []}, "class_names"),
        ({"class_names": ["a", 1]}, "class_names"),
        ({"class_names": ["a", "b", "c"]}, "no classifier"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": True}, "batch_size"),
    ],
)
def test_metadata_fit_the_program(
    tmp_path: Path, program: bytes, changes: dict[str, Any], words: str
) -> None:
    assert words in refused(write(tmp_path / "model.stn", program, **changes))


def test_a_program_that_calls_into_python_is_refused(tmp_path: Path, program: bytes) -> None:
    target = b"xla_ffi_python_cpu_callback"
    made = make(lambda images: brightness(images) | {"x": jnp.linalg.qr(jnp.ones((2, 2)))[0]})
    read_model(write(tmp_path / "model.stn", made))  # linear algebra is no other function
    assert made.count(b"lapack_sgeqrf_ffi") == 1
    renamed = made.replace(b"lapack_sgeqrf_ffi", target[: len(b"lapack_sgeqrf_ffi")])
    said = refused(write(tmp_path / "model.stn", renamed))
    assert "its program calls xla_ffi_python_cp" in said


def test_a_program_that_crashes_its_reader_is_refused(tmp_path: Path, program: bytes) -> None:
    for cut in (200, 600):
        said = refused(write(tmp_path / "model.stn", program[:-cut]))
        assert "damaged or no exported network" in said


def test_programs_of_other_inputs_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "model.stn", make(brightness, jnp.float32))
    assert "takes float32 (4, 4, 1), not uint8" in refused(path)
