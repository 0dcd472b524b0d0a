"""A tiny task that trains in seconds, and one finished run of it that many tests look at."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

CONFIG = """
from train.config import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig

def get_config():
    return Config(
        data=DataConfig(name={name!r}, distortion="RTS", canvas=0),
        model=ModelConfig(
            name="st_fcn", hidden=(8,), localization_hidden=(8,), output_shape=(8, 8)
        ),
        optim=OptimConfig(
            learning_rate=1e-2,
            clip_norm=1.0,
            weight_decay=1e-3,
            localization_rate=0.5,
            warmup_steps=5,
        ),
        train=TrainConfig(
            steps=40, batch_size=8, log_every=4, eval_every=8, checkpoint_every=6, average=0.9
        ),
    )
"""


@pytest.fixture
def plain_numerics() -> Iterator[None]:
    """JAX as users have it: optax does not pass the strict promotion of the other tests."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same programs are compiled once for all runs, in this process and in others."""
    folder = tmp_path_factory.mktemp("programs")
    options = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three easy classes of 12 x 12 images, dark to bright; 10 images are for validation."""
    folder = tmp_path_factory.mktemp("tiny")
    random = np.random.default_rng(0)
    arrays = {}
    for split, count in {"train": 50, "valid": 10, "test": 21}.items():
        labels = random.integers(0, 3, count)
        labels[:3] = 0, 1, 2
        images = np.zeros((count, 12, 12), np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2:10, 4:8] = (60, 150, 255)[label]
        arrays |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(folder / "digits.npz", **arrays)
    path = folder / "tiny.py"
    path.write_text(CONFIG.format(name=str(folder / "digits.npz")))
    return path


@pytest.fixture(scope="session")
def finished_run(
    tiny_config: Path, compilation_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The work directory of an uninterrupted run of the tiny config."""
    workdir = tmp_path_factory.mktemp("run") / "tiny"
    run_train("fit", tiny_config, "--workdir", workdir, cache=compilation_cache)
    return workdir


def run_train(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m train`` to its end, which must be a good one."""
    done = subprocess.run(
        train_command(*arguments), env=train_env(cache), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def train_command(*arguments: object) -> list[str]:
    """The command line of ``python -m train``; warnings are errors there too."""
    return [sys.executable, "-W", "error", "-m", "train", *map(str, arguments)]


def train_env(cache: Path) -> dict[str, str]:
    """The environment of ``python -m train``, with a cache of compiled programs."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
