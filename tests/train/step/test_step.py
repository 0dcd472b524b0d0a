"""Training steps: deterministic, the same when scanned, and the same on eight devices."""

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from running import ROOT

from train.data.batches import Rows
from train.experiment import Experiment
from train.run.devices import make_mesh, replicate
from train.step.state import TrainState, non_finite_names

pytestmark = pytest.mark.usefixtures("plain_numerics")


SCRIPT = """
import json, re, sys
import jax
jax.config.update("jax_num_cpu_devices", 8)
import numpy as np
from pathlib import Path
from train.config.files import load_config
from train.experiment import Experiment

config = load_config(Path(sys.argv[1]))
ends, report = [], {}
for count in (1, 8):
    experiment = Experiment.from_config(config, devices=jax.devices()[:count])
    batches, data, state = experiment.batches, experiment.arrays("train"), experiment.init()
    step = experiment.train_step
    text = step.lower(state, data, batches(0, 1)).compile().as_text()
    with jax.transfer_guard("disallow"):
        for i in range(2):
            state = step(state, data, batches(i, 1))
    ends.append(jax.device_get(state))
operations = ("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute")
for name in operations:
    report[name] = len(re.findall(rf"= .*\\b{name}(?:-start)?\\(", text))
report["donated"] = text.count("may-alias") + text.count("must-alias")
report["arrays"] = len(jax.tree.leaves(state))
report["shards"] = len(batches(0, 1).indices.sharding.device_set)
report["difference"] = max(
    float(np.max(np.abs(a - b))) for a, b in zip(*(jax.tree.leaves(e.params) for e in ends))
)
print(json.dumps(report))
"""


def _equal(a: TrainState, b: TrainState, rtol: float = 0, atol: float = 0) -> None:
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


@pytest.fixture(scope="module")
def data(experiment: Experiment) -> Rows:
    arrays = experiment.arrays("train")
    assert arrays is not None
    return arrays


def test_steps_are_deterministic_and_transfer_only_indices(
    experiment: Experiment, data: Rows
) -> None:
    ends = []
    for _ in range(2):
        state = experiment.init()
        with jax.transfer_guard("disallow"):
            for step in range(3):
                state = experiment.train_step(state, data, experiment.batches(step, 1))
        ends.append(jax.device_get(state))
    _equal(*ends)
    assert ends[0].step == 3
    assert ends[0].non_finite.step == -1


def test_scanned_steps_equal_single_steps(experiment: Experiment, data: Rows) -> None:
    single, scanned = experiment.init(), experiment.init()
    for step in range(4):
        single = experiment.train_step(single, data, experiment.batches(step, 1))
    scanned = experiment.train_step(scanned, data, experiment.batches(0, 4))
    _equal(single, scanned, rtol=1e-4, atol=1e-6)


def test_training_reduces_the_loss_and_changes_theta(experiment: Experiment, data: Rows) -> None:
    state = experiment.init()
    losses = []
    for step in range(40):
        before = float(state.totals["loss"])
        state = experiment.train_step(state, data, experiment.batches(step, 1))
        losses.append(float(state.totals["loss"]) - before)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert float(state.totals["theta_distance"]) > 0


def test_running_average_is_updated(experiment: Experiment, data: Rows) -> None:
    state = experiment.init()
    first = jax.device_get(state.params)
    state = jax.device_get(experiment.train_step(state, data, experiment.batches(0, 1)))
    state = jax.device_get(
        experiment.train_step(replicate(state, make_mesh()), data, experiment.batches(1, 1))
    )
    assert state.eval_params is state.average
    name = "classifier.logits.bias"  # the decay starts at 1 / 10
    assert not np.array_equal(state.average[name], state.params[name])
    assert not np.array_equal(state.average[name], first[name])


def test_first_non_finite_values_are_recorded_by_name_and_step(
    experiment: Experiment, data: Rows
) -> None:
    state = experiment.train_step(experiment.init(), data, experiment.batches(0, 1))
    bad = "transformer.localization.head.bias"
    state.params[bad] = state.params[bad].at[0].set(jnp.nan)
    for step in (1, 2):
        state = experiment.train_step(state, data, experiment.batches(step, 1))
    assert int(state.non_finite.step) == 2  # the first of the two
    names = non_finite_names(state.params)
    flagged = [n for n, flag in zip(names, state.non_finite.flags, strict=True) if flag]
    # The gradient of the bias is finite: a NaN point has gradient 0.
    assert {"the loss", "theta", "the gradient of classifier.logits.kernel"} <= set(flagged), (
        flagged
    )


@pytest.fixture(scope="module")
def report(tiny_config: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tiny_config)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_step_has_one_all_reduce_and_no_other_collective(report: dict[str, float]) -> None:
    assert report["all-reduce"] == 1
    others = ("all-gather", "all-to-all", "reduce-scatter", "collective-permute")
    assert [report[name] for name in others] == [0, 0, 0, 0]


def test_state_is_donated(report: dict[str, float]) -> None:
    assert report["donated"] == report["arrays"]


def test_eight_devices_compute_the_step_of_one(report: dict[str, float]) -> None:
    assert report["shards"] == 8
    assert report["difference"] < 1e-6
