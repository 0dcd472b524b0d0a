"""The benchmarks run on tiny inputs and write JSON. No timing is checked."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """Runs the main function of a script and reads the JSON that it writes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pytest.importorskip("matplotlib")

    def run(name: str, *arguments: str) -> tuple[dict[str, Any], Path]:
        out = tmp_path / "results" / f"{name}.json"
        with jax.numpy_dtype_promotion("standard"):  # peers rely on promotion
            importlib.import_module(name).main([*arguments, "--out", str(out)])
        results = json.loads(out.read_text())
        assert {"date", "git_revision", "cpu", "cores", "packages"} <= results["metadata"].keys()
        return results, out

    return run


def quartiles_in_order(timing: dict[str, float]) -> bool:
    return 0 < timing["low"] <= timing["median"] <= timing["high"]


def test_sampler_times_all_passes(script: Callable[..., Any], capsys: Any) -> None:
    arguments = ["--sizes", "2,6,6,1:3,4", "--peers", "torch", "opencv", "--bandwidth", "4096"]
    results, out = script("sampler", "--repeats", "2", *arguments)
    assert [cell["pass"] for cell in results["cells"]] == ["forward", "theta", "both"]
    for cell in results["cells"]:
        assert "stn_jax" in cell["timings"]
        assert all(map(quartiles_in_order, cell["timings"].values()))
        for name in ("torch", "opencv"):
            assert (name in cell["timings"]) == (name not in cell["missing"])
    assert results["bandwidth"] > 0
    assert all(map(quartiles_in_order, results["dispatch"].values()))
    assert out.with_suffix(".png").stat().st_size
    assert "geometric mean" in capsys.readouterr().out


@pytest.mark.slow
def test_all_peers_agree(script: Callable[..., Any]) -> None:
    for module in ("torch", "kornia", "dm_pix", "cv2"):
        pytest.importorskip(module)
    sizes = ["3,9,8,6", "2,7,6,5,2", "2,6,6,1:3,4"]
    passes = ["forward", "theta", "both"]
    results, _ = script("sampler", "--repeats", "2", "--sizes", *sizes, "--passes", *passes)
    for cell in results["cells"]:
        flat = cell["size"].split(":")[0].count(",") == 3
        expected = {"stn_jax", "gather", "torch", "map_coordinates", "dm_pix"}
        expected |= {"kornia"} if flat else set()
        expected |= {"opencv"} if flat and cell["pass"] == "forward" else set()
        assert cell["timings"].keys() == expected


@pytest.mark.slow
def test_differing_peer_is_not_timed(
    script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    peers = importlib.import_module("peers")

    def shifted(job: Any) -> Any:
        def sample(theta: jax.Array, image: jax.Array, shape: tuple[int, ...]) -> Any:
            return peers.ours("bilinear")(theta.at[:, 0, 2].add(0.1), image, shape)

        return peers.jax_peer(job, sample)

    monkeypatch.setitem(peers.PEERS, "dm_pix", shifted)
    arguments = ["--sizes", "2,6,5,2", "--passes", "both", "--repeats", "2", "--peers", "dm_pix"]
    results, _ = script("sampler", *arguments)
    (cell,) = results["cells"]
    assert cell["timings"].keys() == {"stn_jax"}
    assert cell["differences"]["dm_pix"] > 0.01
    assert "DIFFERS" in capsys.readouterr().out


@pytest.fixture
def other_checkout(tmp_path: Path) -> Path:
    """A copy of stn_jax whose affine_grid shifts by ``SHIFT``, imported inside a function too."""
    folder = tmp_path / "checkout" / "stn_jax"
    shutil.copytree(BENCHMARKS.parent / "stn_jax", folder, ignore=shutil.ignore_patterns("*.pyc"))
    init = folder / "__init__.py"
    init.write_text(
        init.read_text()
        + "\nSHIFT = 0.0\n_affine_grid = affine_grid\n"
        + "def affine_grid(theta, shape):\n"
        + "    from stn_jax import SHIFT\n"
        + "    return _affine_grid(theta, shape) + SHIFT\n"
    )
    return folder.parent


@pytest.mark.slow
def test_previous_checkout_is_compared(
    script: Callable[..., Any], other_checkout: Any, capsys: Any
) -> None:
    arguments = ["--sizes", "2,6,5,2", "--passes", "both", "--repeats", "2"]
    arguments += ["--peers", "previous", "--previous", str(other_checkout)]
    results, _ = script("sampler", *arguments)
    (cell,) = results["cells"]
    assert cell["timings"].keys() == {"stn_jax", "previous"}
    assert cell["differences"]["previous"] < 1e-6
    assert "previous_git_revision" in results
    assert str(other_checkout) not in json.dumps(results["cells"])
    assert not list(other_checkout.rglob("*.pyc"))  # renamed code is not cached

    init = other_checkout / "stn_jax" / "__init__.py"
    init.write_text(init.read_text().replace("SHIFT = 0.0", "SHIFT = 0.1"))
    results, _ = script("sampler", *arguments)
    (cell,) = results["cells"]
    assert cell["timings"].keys() == {"stn_jax"}  # the other code runs, not this one
    assert "DIFFERS" in capsys.readouterr().out


def test_previous_needs_a_checkout(script: Callable[..., Any], tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        script("sampler", "--peers", "previous")
    assert "--previous" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="contains no stn_jax"):
        script("sampler", "--peers", "previous", "--previous", str(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("stages", [["trace", "lower"], ["first_call"]])
def test_tracing_compares_stages(script: Callable[..., Any], capsys: Any, stages: Any) -> None:
    arguments = ["--size", "2,4,4,1", "--repeats", "1", "--stages", *stages]
    results, _ = script("tracing", *arguments)
    assert results["stages"].keys() == set(stages)
    for stage in results["stages"].values():
        assert stage.keys() == {"stn_jax", "map_coordinates"}
        assert all(map(quartiles_in_order, stage.values()))
    assert all(ratio > 0 for ratio in results["ratios"].values())
    assert "ratio" in capsys.readouterr().out


def test_tracing_compares_equal_functions(script: Callable[..., Any]) -> None:
    tracing = importlib.import_module("tracing")
    arrays = tracing.operands("2,5,4,3")
    ours, theirs = (sample(*arrays) for sample in tracing.SAMPLERS.values())
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_scaling_fits_slopes(script: Callable[..., Any]) -> None:
    arguments = ["--small", "--repeats", "2", "--quantities", "pixels", "--passes", "both"]
    results, out = script("scaling", *arguments)
    assert [sweep["quantity"] for sweep in results["sweeps"]] == ["pixels"]
    for sweep in results["sweeps"]:
        assert all(quartiles_in_order(point["time"]) for point in sweep["points"])
        assert np.isfinite(list(sweep["slopes"].values())).all()
    assert out.with_suffix(".png").stat().st_size


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory.py reads /proc")
def test_memory_measures_peaks_and_residuals(script: Callable[..., Any]) -> None:
    pytest.importorskip("torch")
    results, _ = script("memory", "--sizes", "1,64,64,64", "--passes", "both", "--peers", "torch")
    (row,) = results["peaks"]
    assert min(row["peaks"].values()) >= 64**3 * 4  # the image's gradient at the least
    residuals = results["residuals"]["1,64,64,64"]
    assert residuals["image_and_grid"] == 64 * 64 * (64 + 2) * 4
    assert residuals["kept"] > 0


@pytest.mark.slow
def test_large_data_trains_alike_from_a_file(
    script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # unoptimised programs may round differently
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    sizes = ["--images", "200", "--side", "12", "--steps", "3", "--batch", "8", "--limit", "0"]
    results, _ = script("large_data", "--repeats", "1", *sizes)
    assert results["same_losses"]
    for found in results["ways"].values():
        assert 0 < found["anonymous"] <= found["resident"]
        assert found["examples_per_second"] > 0


def test_run_lists_all_scripts() -> None:
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run.py", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(
        name in done.stdout for name in ("sampler", "tracing", "train_step", "scaling", "memory")
    )


def test_slope_is_the_exponent(script: Callable[..., Any]) -> None:
    scaling = importlib.import_module("scaling")
    x = np.array([1.0, 3.0, 10.0])
    assert scaling.slope(x, 5 * x**0.7) == pytest.approx(0.7)


def test_competitors_alternate(script: Callable[..., Any]) -> None:
    timing = importlib.import_module("timing")
    order = []
    calls = {
        name: timing.Competitor(lambda name=name: order.append(name), lambda: None) for name in "AB"
    }
    timings = timing.alternate(calls, repeats=3)
    assert all(found.turns == 3 for found in timings.values())
    turns = [name for before, name in zip([None, *order], order, strict=False) if name != before]
    assert turns == ["A", "B"] * 4  # the first to compile, then three turns
    assert timing.geometric_mean([2, 8]) == pytest.approx(4)


def test_verdict_depends_on_ratio_and_overlap(script: Callable[..., Any]) -> None:
    timing = importlib.import_module("timing")
    fast, slow = timing.Timing(1, 0.9, 1.1, 5, 1), timing.Timing(2, 1.9, 2.1, 5, 1)
    near = timing.Timing(1.05, 1.0, 1.2, 5, 1)
    assert timing.verdict(fast, slow).plain == "2.00x win"
    assert timing.verdict(slow, fast).plain == "0.50x LOSS"
    assert timing.verdict(fast, near).plain == "1.05x even"


def test_spinning_threads_are_reported(
    script: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timing = importlib.import_module("timing")
    with monkeypatch.context() as patch:
        patch.setattr(timing.time, "process_time", timing.time.perf_counter)  # one busy core
        with pytest.raises(RuntimeError, match="still spin"):
            timing.settle(patience=0.05)
    with monkeypatch.context() as patch:
        patch.setattr(timing.time, "process_time", lambda: 0.0)  # an idle process
        timing.settle(patience=0.05)
