"""A work directory with an untrained CNN, as a finished run leaves one: what describes windows."""

import dataclasses
from pathlib import Path

from running import ROOT

from stn_jax.models import CNN
from train.config import Config
from train.config.files import load_config
from train.config.serialize import user_sources
from train.experiment import Experiment
from train.run.checkpoints import Checkpoints, HostState
from train.run.workdir import make_workdir, write_metadata


def write_encoder(workdir: Path, digits: Path, model: object = None) -> Config:
    """Writes a run of 0 steps; ``digits`` is an archive of images."""
    config = load_config(ROOT / "configs" / "mnist_r_cnn.py")
    config = dataclasses.replace(
        config,
        data=dataclasses.replace(config.data, name=str(digits)),
        model=CNN((2, 3)) if model is None else model,
        train=dataclasses.replace(config.train, batch_size=4, average=0.0),
    )
    experiment = Experiment.from_config(config)
    make_workdir(workdir)
    write_metadata(workdir, config, experiment.spec, user_sources(config), experiment.data)
    checkpoints = Checkpoints(workdir / "checkpoints")
    checkpoints.save("last", experiment.init(), 0, HostState())
    checkpoints.close()
    return config
