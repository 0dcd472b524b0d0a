"""The training step on eight simulated devices: the losses of one device, one all-reduce."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import simulate
from running import ROOT

SCRIPT = r"""
import dataclasses, json, re, sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType

import stn_jax as stn
from stn_jax.models import FCN
from train.config.files import load_config
from train.data.batches import Batches
from train.experiment import Experiment
from train.run.devices import replicate
from train.step.state import make_init
from train.step.step import make_train_step

transform, steps, explicit = sys.argv[2], int(sys.argv[3]), sys.argv[4] == "explicit"
config = load_config(Path(sys.argv[1]))
classifier = FCN((512, 512)) if len(sys.argv) > 5 else config.model.classifier
model = dataclasses.replace(
    config.model, classifier=classifier, transform=getattr(stn, transform)()
)
config = dataclasses.replace(config, model=model)


def losses(experiment, explicit=False):
    run, mesh = config.train, experiment.mesh
    init, step, batches = experiment.init, experiment.train_step, experiment.batches
    if explicit:
        mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
        metrics = list(experiment.abstract_state.totals)
        parts = experiment.network, experiment.optimizer
        init, _ = make_init(*parts, metrics, mesh, average=True)
        step = make_train_step(
            experiment.network, experiment.task, experiment.optimizer, mesh,
            batch_size=run.batch_size, seed=run.seed, average=run.average,
        )
        batches = Batches(experiment.spec.counts["train"], run.batch_size, run.seed, mesh)
    data = replicate(dict(experiment.data.splits["train"]), mesh)
    state = init()
    text = step.lower(state, data, batches(0, 1)).compile().as_text()
    zeros = {name: np.zeros((), np.float32) for name in state.totals}
    found = []
    for i in range(steps):
        state = step(state._replace(totals=replicate(zeros, mesh)), data, batches(i, 1))
        found.append(float(state.totals["loss"]))
    return found, text, state


one, *_ = losses(Experiment.from_config(config, devices=jax.devices()[:1]))
if len(sys.argv) > 5:
    mesh = tuple(map(int, sys.argv[5].split(",")))
    run = dataclasses.replace(config.train, mesh=mesh)
    config = dataclasses.replace(config, train=run)
experiment = Experiment.from_config(config)
eight, text, state = losses(experiment, explicit)
names = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
counts = {name: len(re.findall(rf"= .*\b{name}(?:-start)?\(", text)) for name in names}
specs = {"/".join(map(str, path)): list(x.sharding.spec) for path, x in
         jax.tree_util.tree_flatten_with_path(state)[0] if "model" in x.sharding.spec}
print(json.dumps({
    "collectives": {name: count for name, count in counts.items() if count},
    "devices": len(state.step.sharding.device_set),
    "difference": max(abs(a - b) for a, b in zip(one, eight, strict=True)),
    "change": abs(eight[0] - eight[-1]),
    "sharded": specs,
}))
"""


def _report(config: Path, transform: str, steps: int, kind: str, *mesh: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(config), transform, str(steps), kind, *mesh],
        cwd=ROOT,
        env=os.environ | simulate(8),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["auto", "explicit"])
@pytest.mark.parametrize("transform", ["Affine", "ThinPlateSpline", "Attention"])
def test_eight_devices_have_the_losses_of_one_and_communicate_once(
    transform: str, kind: str, tiny_config: Path
) -> None:
    report = _report(tiny_config, transform, 50, kind)
    assert report["devices"] == 8
    assert report["collectives"] == {"all-reduce": 1}
    assert report["difference"] <= 1e-6
    assert report["change"] > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("mesh", ["4,2", "0,4"])
def test_a_second_axis_splits_large_layers_and_their_optimiser_state(
    mesh: str, tiny_config: Path
) -> None:
    report = _report(tiny_config, "Affine", 50, "auto", mesh)
    assert report["difference"] <= 1e-6
    kernel = "classifier.hidden.1.kernel"
    of_kernel = [name for name in report["sharded"] if kernel in name]
    assert len(of_kernel) == len(report["sharded"]) == 4  # itself, its average, Adam's moments
    assert all(split == [None, "model"] for split in report["sharded"].values())
