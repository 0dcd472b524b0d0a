"""Plans for TPU slices that are not there: what is said of them, and what a mistake is told."""

import dataclasses
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from train.cli import load_config, main
from train.compile import PARTS, compile_step, part_of
from train.tpu import collective_bytes, collectives, describe, estimated_seconds, memory

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "configs" / "quickstart.py")

needs_libtpu = pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None,
    reason="compiling for a TPU needs libtpu: pip install 'stn-jax[tpu]'",
)


@pytest.mark.slow
@needs_libtpu
@pytest.mark.usefixtures("plain_numerics")
def test_a_step_on_eight_chips() -> None:
    """The real step of a real config: it communicates once, and copies no state."""
    config = load_config(Path(QUICKSTART))
    run = dataclasses.replace(config.train, steps_per_dispatch=1)
    plan = compile_step(dataclasses.replace(config, train=run), describe("v5e:2x4"))
    assert collectives(plan.compiled) == {"all-reduce": 1}
    assert plan.donated == plan.arrays > 50
    parameters = 61_616 * 4
    assert parameters < collective_bytes(plan.compiled)["all-reduce"] < parameters + 1000
    assert 8_000_000 < memory(plan.compiled).total < 1 << 30
    assert set(plan.seconds) == {*PARTS, "other"}
    assert sum(plan.seconds.values()) == pytest.approx(estimated_seconds(plan.compiled))
    assert plan.seconds["other"] < 0.1 * sum(plan.seconds.values())


@pytest.mark.slow
@needs_libtpu
@pytest.mark.usefixtures("plain_numerics")
def test_a_step_that_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    large = ["--train.batch-size", "9984", "--data.canvas", "512", "--train.steps-per-dispatch=1"]
    assert main(["compile", QUICKSTART, "--topology", "v5e:1x1", *large]) == 2
    said = capsys.readouterr().err
    assert "9984 images a chip" in said
    found = re.search(r"of each chip's 15.[78]\d* GiB.*--train.batch-size (\d+) should fit", said)
    assert found
    assert 10 < int(found[1]) < 9984


@needs_libtpu
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--topology", "v5e:9x9"], ["topology='v5e:9x9'", "v5e:2x4", "1x1"]),
        (["--topology", "v99:2x4"], ["topology='v99:2x4'", "tpu7x"]),
        (["--topology", "v5e"], ["topology='v5e'", "v5e:2x4"]),
        (["--train.batch-size", "130"], ["train.batch_size=130", "multiple of the 8 devices"]),
        (["--topologie", "v5e:2x4"], ["--topologie", "--topology"]),
    ],
)
def test_mistakes(options: list[str], said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", QUICKSTART, *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for words in said:
        assert words in err


def test_without_libtpu_the_command_that_installs_it_is_said() -> None:
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
    ("scope", "part"),
    [
        ("jit(several)/shard_map/distortion/vmap(jit(_sample_batch))/gather", "distortion"),
        ("data.images", "distortion"),
        ("jit(several)/shard_map/transpose(jvp(sampler))/jit(_sample_batch)/mul", "sampler"),
        ("jit(several)/while/body/optimizer/add", "optimizer"),
        ("jit(several)/jvp(localization.1)/add", "localization"),
        ("jit(several)/reduce_sum", "other"),
        ("", "other"),
    ],
)
def test_parts(scope: str, part: str) -> None:
    assert part_of(scope) == part
