"""Helpers for tests of training: processes, error messages, what a step needs."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import train.fit
from train.evaluation.evaluator import load_run
from train.run.checkpoints import Checkpoints
from train.step.state import TrainState

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "configs" / "quickstart.py")

CONFIG = """
from stn_jax.models import FCN, STN, FullyConnectedLocalizer
from train.config import Adam, Config, Images, TrainConfig

def get_config():
    return Config(
        data=Images({name!r}),
        model=STN(FCN((8,)), FullyConnectedLocalizer((8,)), output_shape=(8, 8)),
        optim=Adam(
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


@contextmanager
def plain_jax() -> Iterator[None]:
    """JAX's default numerics, since optax does not support strict promotion."""
    with (
        jax.enable_x64(False),
        jax.numpy_dtype_promotion("standard"),
        jax.numpy_rank_promotion("allow"),
    ):
        yield


def write_tiny_config(folder: Path) -> Path:
    """Writes a config with three easy classes of 12 x 12 images, dark to bright, and its images."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
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


def run_train(*arguments: object, cache: Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m train`` and checks that it succeeds."""
    done = subprocess.run(
        train_command(*arguments), env=train_env(cache), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def train_command(*arguments: object) -> list[str]:
    """Returns the command line of ``python -m train``, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "train", *map(str, arguments)]


def train_env(cache: Path) -> dict[str, str]:
    """Returns the environment of ``python -m train``, with a compilation cache."""
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }


def free_port() -> int:
    """Returns a port of this machine that nobody listens on."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def modification_times(folder: Path) -> dict[str, int]:
    """Returns the modification time of a folder and everything in it."""
    return {str(path): path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def check_error(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """Checks that the only output is one line with an error that contains these words."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for text in words:
        assert text in err


@contextmanager
def interrupt_after(step: int) -> Iterator[None]:
    """Interrupts training, as Ctrl-C does, once it has taken this many steps."""
    check = train.fit._stop_if_non_finite

    def interrupt(state: TrainState, checkpoints: Checkpoints) -> None:
        check(state, checkpoints)
        if int(state.step) >= step:
            checkpoints.wait()
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train.fit, "_stop_if_non_finite", interrupt)
        yield


def check_same_result(one: Path, other: Path) -> None:
    """Checks that two runs have the same parameters and metrics, bit for bit."""
    a, b = load_run(one, data=False), load_run(other, data=False)
    assert a.step == b.step
    for name, value in a.params.items():
        np.testing.assert_array_equal(jax.device_get(b.params[name]), jax.device_get(value), name)
    assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
