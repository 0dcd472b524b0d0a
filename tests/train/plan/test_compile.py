"""Ahead-of-time compilation for TPU topologies: collectives, memory, and mistakes."""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from running import QUICKSTART, ROOT, check_error

from train.cli import main
from train.config.files import load_config
from train.plan.compile import SCOPES, compile_step, scope_of
from train.plan.hlo import (
    collective_bytes,
    collectives,
    estimated_seconds,
    memory,
    topology_devices,
)

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="compiling for a TPU needs libtpu: pip install 'stn-jax[tpu]'",
)


@pytest.mark.slow
@needs_libtpu
@pytest.mark.usefixtures("plain_numerics")
def test_step_on_eight_chips_has_one_all_reduce_and_is_donated() -> None:
    """Compiles the training step of the quickstart."""
    config = load_config(Path(QUICKSTART))
    run = dataclasses.replace(config.train, steps_per_dispatch=1)
    plan = compile_step(dataclasses.replace(config, train=run), topology_devices("v5e:2x4"))
    assert collectives(plan.compiled) == {"all-reduce": 1}
    assert plan.donated == plan.arrays > 50
    parameters = 61_616 * 4
    assert parameters < collective_bytes(plan.compiled)["all-reduce"] < parameters + 1000
    assert 8_000_000 < memory(plan.compiled).total < 1 << 30
    assert set(plan.seconds) == {*SCOPES, "other"}
    assert sum(plan.seconds.values()) == pytest.approx(estimated_seconds(plan.compiled))
    assert plan.seconds["other"] < 0.1 * sum(plan.seconds.values())


@pytest.mark.slow
@needs_libtpu
@pytest.mark.usefixtures("plain_numerics")
def test_step_that_needs_too_much_memory_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    large = [
        "--train.batch-size",
        "8992",
        "--distortion.canvas",
        "512",
        "--train.steps-per-dispatch=1",
    ]
    assert main(["compile", QUICKSTART, "--topology", "v5e:1x1", *large]) == 2
    error = capsys.readouterr().err
    assert "8992 images a chip" in error
    found = re.search(r"of each chip's 15.[78]\d* GiB.*--train.batch-size (\d+) should fit", error)
    assert found
    assert 10 < int(found[1]) < 8992


@needs_libtpu
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--topology", "v5e:9x9"], ["topology='v5e:9x9'", "v5e:2x4", "1x1"]),
        (["--topology", "v99:2x4"], ["topology='v99:2x4'", "tpu7x"]),
        (["--topology", "v5e"], ["topology='v5e'", "v5e:2x4"]),
        (["--train.batch-size", "130"], ["train.batch_size=130", "multiple of the 8 devices"]),
        (["--topologie", "v5e:2x4"], ["--topologie", "--topology"]),
    ],
)
def test_mistakes_are_reported_in_one_line(
    options: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", QUICKSTART, *options]) == 2
    check_error(capsys, words)


def test_missing_libtpu_is_explained_with_its_install_command() -> None:
    script = (
        "import sys; sys.modules['libtpu'] = None; from train.cli import main; "
        f"sys.exit(main(['compile', {QUICKSTART!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"TPU_LIBRARY_PATH": "nowhere"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'stn-jax[tpu]'" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("op_name", "scope"),
    [
        ("jit(scan_steps)/shard_map/distortion/vmap(jit(_sample_batch))/gather", "distortion"),
        ("data['images']", "distortion"),
        ("jit(scan_steps)/shard_map/transpose(jvp(sampler))/jit(_sample_batch)/mul", "sampler"),
        ("jit(scan_steps)/while/body/optimizer/add", "optimizer"),
        ("jit(scan_steps)/jvp(localization.1)/add", "localization"),
        ("jit(scan_steps)/reduce_sum", "other"),
        ("", "other"),
    ],
)
def test_instructions_are_assigned_to_scopes(op_name: str, scope: str) -> None:
    assert scope_of(op_name) == scope
