"""Eight devices: one step equals that of one device, and the devices speak to each other once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, re, sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
import numpy as np
from jax.sharding import Mesh
from train.batches import Batches
from train.cli import load_config
from train.data import load
from train.devices import AXIS, replicate
from train.evaluate import input_shape
from train.network import build_network
from train.optim import make_optimizer
from train.step import Data, make_init, make_train_step
from pathlib import Path

config = load_config(Path(sys.argv[1]))
dataset = load(config.data)
shape = input_shape(config.data, dataset.image_shape)
network = build_network(config.model, shape, dataset.num_classes, 0)
optimizer = make_optimizer(config.optim, config.train.steps)
ends, report = [], {}
for count in (1, 8):
    mesh = Mesh(np.array(jax.devices()[:count]), (AXIS,))
    batches = Batches(len(dataset.y_train), config.train.batch_size, 0, mesh)
    data = Data(*replicate((dataset.x_train, dataset.y_train), mesh))
    state = make_init(network, optimizer, config, mesh)()
    step = make_train_step(network, optimizer, config, mesh)
    text = step.lower(state, data, batches(0, 1)).compile().as_text()
    with jax.transfer_guard("disallow"):
        for i in range(2):
            state = step(state, data, batches(i, 1))
    ends.append(jax.device_get(state))
operations = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
for name in operations:
    report[name] = len(re.findall(rf"= .*\\\\b{name}(?:-start)?\\\\(", text))
report["donated"] = text.count("may-alias") + text.count("must-alias")
report["arrays"] = len(jax.tree.leaves(state))
report["shards"] = len(batches(0, 1).indices.sharding.device_set)
report["difference"] = max(
    float(np.max(np.abs(a - b))) for a, b in zip(*(jax.tree.leaves(e.params) for e in ends))
)
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def report(tiny_config: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.replace("\\\\", "\\"), str(tiny_config)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_one_all_reduce_and_no_all_gather(report: dict[str, float]) -> None:
    assert report["all-reduce"] == 1
    others = ("all-gather", "all-to-all", "reduce-scatter", "collective-permute")
    assert [report[name] for name in others] == [0, 0, 0, 0]


def test_the_state_is_donated(report: dict[str, float]) -> None:
    assert report["donated"] == report["arrays"]


def test_eight_devices_make_the_step_of_one(report: dict[str, float]) -> None:
    assert report["shards"] == 8
    assert report["difference"] < 1e-6
