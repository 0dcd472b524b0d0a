"""A tiny config that trains in seconds, and one finished run of it that many tests share."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import ROOT, plain_jax, run_train, write_tiny_config

from train.config import Images
from train.config.files import load_config
from train.data import Dataset, load
from train.experiment import Experiment


@pytest.fixture
def plain_numerics() -> Iterator[None]:
    """JAX's default numerics."""
    with plain_jax():
        yield


@pytest.fixture(scope="session")
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A compilation cache that all runs share, in this process and in others."""
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
    """A config with three easy classes of 12 x 12 images, dark to bright, 10 for validation."""
    return write_tiny_config(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def finished_run(
    tiny_config: Path, compilation_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The work directory of an uninterrupted run of the tiny config."""
    workdir = tmp_path_factory.mktemp("run") / "tiny"
    run_train("fit", tiny_config, "--workdir", workdir, cache=compilation_cache)
    return workdir


@pytest.fixture
def damaged_run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to do harm to."""
    return Path(shutil.copytree(finished_run, tmp_path / "damaged"))


@pytest.fixture(scope="session")
def experiment(tiny_config: Path, compilation_cache: Path) -> Experiment:
    """The tiny config, built."""
    with plain_jax():
        experiment = Experiment.from_config(load_config(tiny_config))
        experiment.init()
        return experiment


@pytest.fixture(scope="session")
def bundled() -> Dataset:
    """The bundled digits."""
    return load(Images("bundled"))


@pytest.fixture(scope="module")
def digits() -> jax.Array:
    """Forty images of random blobs with dark borders, as digits have."""
    noise = np.random.default_rng(0).normal(size=(40, 28, 28))
    y, x = np.indices((28, 28)) - 13.5
    low = np.exp(-(np.indices((28, 28)) ** 2).sum(axis=0) / 18)
    blobs = np.abs(np.fft.ifft2(np.fft.fft2(noise) * np.fft.fft2(low))) * (np.hypot(x, y) < 9)
    images = 255 * blobs / blobs.max(axis=(1, 2), keepdims=True)
    return jnp.asarray(images.astype(np.uint8)[..., None])


@pytest.fixture
def calls_of() -> Callable[[Callable[[], object], list[Path]], set[Path]]:
    """Lists the files under some folders whose functions a call enters."""

    def files(function: Callable[[], object], folders: list[Path]) -> set[Path]:
        entered: set[str] = set()

        def enter(frame: FrameType, event: str, argument: object) -> None:
            if event == "call" and frame.f_code.co_name != "<module>":
                entered.add(frame.f_code.co_filename)

        before = sys.getprofile()
        sys.setprofile(enter)
        try:
            function()
        finally:
            sys.setprofile(before)
        paths = {Path(name) for name in entered}
        inside = {path for path in paths if any(path.is_relative_to(f) for f in folders)}
        return {path.relative_to(ROOT) for path in inside}

    return files
