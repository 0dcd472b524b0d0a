"""Valid files of every kind that is read, as small as they can be."""

import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from house_number_files import make_house_numbers
from jax import export
from PIL import Image

from train.evaluation.export_file import write_model
from train.run.devices import EXPORTED_PLATFORMS

CONFIG = b"""
from stn_jax.models import FCN, STN, FullyConnectedLocalizer
from train.config import Adam, Config, Images, TrainConfig

def get_config():
    return Config(
        data=Images("bundled"),
        model=STN(FCN((8,)), FullyConnectedLocalizer((8,)), output_shape=(8, 8)),
        optim=Adam(learning_rate=1e-2, clip_norm=1.0),
        train=TrainConfig(steps=40, batch_size=8, average=0.9),
    )
"""

DATA_JSON = json.dumps(
    {
        "name": "bundled",
        "counts": {"train": 50, "valid": 10, "test": 21},
        "arrays": {"images": [[12, 12, 1], "uint8"], "labels": [[], "int32"]},
        "info": {"class_names": ["0", "1", "2"], "class_counts": [20, 20, 10]},
        "crc32": "0123abcd",
    }
).encode()

PREDICTIONS = json.dumps(
    [
        {
            "image": f"{i}.png",
            "label": "1",
            "probability": 0.5,
            "rectified": f"rectified/{i:05}_{i}.png",
            "theta": [1, 0, 0, 0, 1, 0],
            "probabilities": {"0": 0.5, "1": 0.5},
        }
        for i in range(3)
    ],
    indent=2,
).encode()


def arrays() -> dict[str, np.ndarray]:
    """Returns a dataset of 12 + 6 images of two classes, in floats where they are tested."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (18, 4, 4), np.uint8)
    labels = np.arange(18) % 2
    return {
        "x_train": images[:12],
        "y_train": labels[:12],
        "x_test": (images[12:] / 255).astype(np.float32),
        "y_test": labels[12:].astype(np.int32),
        "class_names": np.array(["cat", "dog"]),
    }


def config_json() -> bytes:
    """Returns the config above as a work directory has it."""
    from train.config.files import load_config
    from train.config.serialize import to_dict

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.py"
        path.write_bytes(CONFIG)
        return json.dumps(to_dict(load_config(path)), indent=2).encode()


CONFIG_JSON = config_json()


def image_files() -> list[bytes]:
    """Returns an image in every format that is read, grey, in colour and transparent."""
    random = np.random.default_rng(0)
    files = []
    for kind in ("PNG", "JPEG", "JPEG2000", "BMP", "GIF", "TIFF", "WEBP", "AVIF", "PPM", "TGA"):
        for mode, channels in (("L", 1), ("RGB", 3), ("RGBA", 4)):
            pixels = random.integers(0, 256, (9, 7, channels), np.uint8)
            picture = Image.fromarray(pixels.squeeze(), mode)
            file = io.BytesIO()
            try:
                picture.save(file, kind)
            except (OSError, KeyError):  # the format has no such mode, or Pillow not the format
                continue
            files.append(file.getvalue())
    frames = [Image.new("P", (5, 5), i) for i in range(3)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return [*files, file.getvalue()]


def idx_files() -> list[bytes]:
    """Returns idx files of images and labels, unpacked and packed."""
    images = b"\0\0\x08\3\0\0\0\2\0\0\0\3\0\0\0\3" + bytes(18)
    labels = b"\0\0\x08\1\0\0\0\2\1\0"
    return [images, labels, gzip.compress(images, mtime=0), gzip.compress(labels, mtime=0)]


def exported() -> tuple[dict[str, Any], bytes, bytes]:
    """Returns metadata, program and whole file of an exported network."""

    def brightness(images: jax.Array) -> dict[str, Any]:
        mean = jnp.mean(images.astype(jnp.float32) / 255, axis=(1, 2, 3))
        return {"probabilities": jnp.stack([mean, 1 - mean], axis=-1), "warps": []}

    (batch,) = export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((batch, 4, 4, 1), np.uint8)
    platforms = EXPORTED_PLATFORMS
    program = bytes(export.export(jax.jit(brightness), platforms=platforms)(images).serialize())
    metadata = {"class_names": ["a", "b"], "input_shape": [4, 4, 1], "image_shape": [4, 4, 1]}
    metadata |= {"format": 1, "batch_size": 5}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.stn"
        write_model(path, metadata, program)
        return metadata, program, path.read_bytes()


def digit_structs() -> list[bytes]:
    """Files with labels and boxes of a few house numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "numbers"
        make_house_numbers(path, {"train": 3})
        return [(path / "train" / "digitStruct.mat").read_bytes()]
