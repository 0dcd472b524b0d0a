"""Every reader of files, what malformed files it is given, and which were made to hurt it."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import crafted
import numpy as np
import samples
from hypothesis import strategies as st
from mutations import mutated, mutated_zip, sealed, zip_of

from train.config.files import load_config
from train.data import Images
from train.data.digit_struct import read_digit_struct
from train.data.idx import read_idx
from train.data.images import decode_image, read_image, read_shape
from train.data.listing import is_image
from train.data.notes import Notes
from train.evaluation.export_file import is_model, read_predictor
from train.evaluation.inputs import read_inputs
from train.evaluation.predict import _check_out
from train.run.workdir import read_config, read_spec, read_summary

Reads = Iterator[Callable[[], Any]]


class Reader(NamedTuple):
    """A reader.

    Attributes:
        reads: writes a file's content into a folder, and yields what is to read it.
        malformed: valid files with edits.
        hostile: files that were made to hurt.
    """

    reads: Callable[[Path, bytes], Reads]
    malformed: st.SearchStrategy[bytes]
    hostile: Sequence[bytes]


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def build(path: Path, **fields: Any) -> None:
    dataset = Images(str(path), **fields).build()
    for images in (dataset.x_train, dataset.x_test):
        np.asarray(images[:3])


def predicted(path: Path) -> None:
    for image in read_inputs([path], ("0", "1"), path.parent / "out", Notes()):
        assert image.pixels.dtype == np.uint8


def read_npz(folder: Path, content: bytes) -> Reads:
    path = write(folder / "it.npz", content)
    for fields in ({}, {"memory_limit": 0}, {"image_size": 3}):
        yield partial(build, path, **fields)
    yield partial(predicted, path)


def read_npy(folder: Path, content: bytes) -> Reads:
    for broken in ("x_train", "y_train"):
        for name, values in samples.arrays().items():
            write(folder / "arrays" / f"{name}.npy", crafted.array(values))
        path = write(folder / "arrays" / f"{broken}.npy", content).parent
        yield partial(build, path)
        yield partial(build, path, memory_limit=0)


def read_images(folder: Path, content: bytes) -> Reads:
    for suffix in ("", ".png"):
        path = write(folder / f"image{suffix}", content)
        for read in (read_image, decode_image, read_shape, is_image):
            yield partial(read, path)


def read_idx_files(folder: Path, content: bytes) -> Reads:
    for name in ("idx", "idx.gz"):
        yield partial(read_idx, write(folder / name, content))


def read_metadata(folder: Path, content: bytes) -> Reads:
    run = folder / "run"
    sound = {"config.json": samples.CONFIG_JSON, "data.json": samples.DATA_JSON}
    sound["summary.json"] = b'{"result": "none"}'
    for broken in sound:
        for name, value in sound.items():
            write(run / name, value)
        config = read_config(run)
        write(run / broken, content)
        yield from (partial(read_config, run), partial(read_spec, run))
        yield partial(read_summary, run, config)


def read_config_file(folder: Path, content: bytes) -> Reads:
    yield partial(load_config, write(folder / "config.py", content))


def read_predictions(folder: Path, content: bytes) -> Reads:
    yield partial(_check_out, write(folder / "out" / "predictions.json", content).parent, [])


def read_model(folder: Path, content: bytes) -> Reads:
    def predict(path: Path) -> None:
        predictor = read_predictor(path)
        predictor.call(np.zeros((2, *predictor.input_shape), np.uint8))

    path = write(folder / "model.stn", content)
    yield partial(is_model, path)
    yield partial(predict, path)


def read_digits(folder: Path, content: bytes) -> Reads:
    yield partial(read_digit_struct, write(folder / "numbers" / "digitStruct.mat", content))


def npz() -> Reader:
    members = {f"{key}.npy": crafted.array(value) for key, value in samples.arrays().items()}
    files = mutated_zip(members) | mutated([zip_of(members), zip_of(members, 8)])
    return Reader(read_npz, files, crafted.npzs(members))


def npy() -> Reader:
    files = [crafted.array(value) for value in samples.arrays().values()]
    return Reader(read_npy, mutated(files), [files[0], *crafted.npys()])  # a sound one first


def image() -> Reader:
    return Reader(read_images, mutated(samples.image_files()), crafted.images())


def idx() -> Reader:
    return Reader(read_idx_files, mutated(samples.idx_files()), crafted.idx_files())


def metadata() -> Reader:
    files = mutated([samples.CONFIG_JSON, samples.DATA_JSON])
    return Reader(read_metadata, files, crafted.jsons())


def config() -> Reader:
    return Reader(read_config_file, mutated([samples.CONFIG]), crafted.configs())


def predictions() -> Reader:
    return Reader(read_predictions, mutated([samples.PREDICTIONS]), crafted.jsons())


def model() -> Reader:
    values, program, whole = samples.exported()
    sound = {"metadata.json": json.dumps(values).encode(), "model.bin": b""}
    hostile = [zip_of(sound | {"metadata.json": content}) for content in crafted.jsons()]
    hostile.append(crafted.bomb("model.bin", b"", claims=3 * 10**9))
    return Reader(read_model, mutated([whole]) | sealed(values, program), hostile)


def digits() -> Reader:
    files = samples.digit_structs()
    hostile = [*files, files[0][:3000], b"MATLAB 7.3 MAT-file", b""]  # a sound one first
    return Reader(read_digits, mutated(files), hostile)


READERS: dict[str, Callable[[], Reader]] = {
    made.__name__: made
    for made in (npz, npy, image, idx, metadata, config, predictions, model, digits)
}
