"""The benchmarks run, on next to nothing, and leave JSON that can be read. No figure is judged."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch, tmp_path):
    """Imports a script as if it were run, and reads back the JSON that it writes."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    pytest.importorskip("matplotlib")

    def run(name, *arguments):
        out = tmp_path / "results" / f"{name}.json"
        with jax.numpy_dtype_promotion("standard"):  # the peers' code is not strict
            importlib.import_module(name).main([*arguments, "--out", str(out)])
        results = json.loads(out.read_text())
        assert {"date", "git_revision", "cpu", "cores", "packages"} <= results["metadata"].keys()
        return results, out

    return run


def quartiles_in_order(timing):
    return 0 < timing["low"] <= timing["median"] <= timing["high"]


def test_sampler(script, capsys):
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
def test_every_peer_agrees(script):
    for module in ("torch", "kornia", "dm_pix", "cv2"):
        pytest.importorskip(module)
    sizes = ["3,9,8,6", "2,7,6,5,2", "2,6,6,1:3,4"]
    passes = ["forward", "theta", "both"]
    results, _ = script("sampler", "--repeats", "2", "--sizes", *sizes, "--passes", *passes)
    for cell in results["cells"]:
        flat = cell["size"].split(":")[0].count(",") == 3
        expected = {"stn_jax", "torch", "map_coordinates", "dm_pix"}
        expected |= {"kornia"} if flat else set()
        expected |= {"opencv"} if flat and cell["pass"] == "forward" else set()
        assert cell["timings"].keys() == expected


def test_a_peer_that_differs_is_not_timed(script, monkeypatch, capsys):
    sampler = importlib.import_module("sampler")

    def shifted(job):
        def sample(theta, image, shape):
            return sampler.ours()(theta.at[:, 0, 2].add(0.1), image, shape)

        return sampler.jax_peer(job, sample)

    monkeypatch.setitem(sampler.PEERS, "dm_pix", shifted)
    arguments = ["--sizes", "2,6,5,2", "--passes", "both", "--repeats", "2", "--peers", "dm_pix"]
    results, _ = script("sampler", *arguments)
    (cell,) = results["cells"]
    assert cell["timings"].keys() == {"stn_jax"}
    assert cell["differences"]["dm_pix"] > 0.01
    assert "DIFFERS" in capsys.readouterr().out


def test_scaling(script):
    arguments = ["--small", "--repeats", "2", "--quantities", "pixels", "--passes", "both"]
    results, out = script("scaling", *arguments)
    assert [sweep["quantity"] for sweep in results["sweeps"]] == ["pixels"]
    for sweep in results["sweeps"]:
        assert all(quartiles_in_order(point["time"]) for point in sweep["points"])
        assert np.isfinite(list(sweep["slopes"].values())).all()
    assert out.with_suffix(".png").stat().st_size


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="memory.py reads /proc")
def test_memory(script):
    pytest.importorskip("torch")
    results, _ = script("memory", "--sizes", "1,64,64,64", "--passes", "both", "--peers", "torch")
    (row,) = results["peaks"]
    assert min(row["peaks"].values()) >= 64**3 * 4  # the image's gradient at the least
    residuals = results["residuals"]["1,64,64,64"]
    assert residuals["image_and_grid"] == 64 * 64 * (64 + 2) * 4
    assert residuals["kept"] > 0


def test_run_knows_every_script():
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "run.py", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("sampler", "scaling", "memory"))


def test_slope(script):
    scaling = importlib.import_module("scaling")
    x = np.array([1.0, 3.0, 10.0])
    assert scaling.slope(x, 5 * x**0.7) == pytest.approx(0.7)


def test_turns_and_medians(script):
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


def test_verdicts(script):
    timing = importlib.import_module("timing")
    quick, slow = timing.Timing(1, 0.9, 1.1, 5, 1), timing.Timing(2, 1.9, 2.1, 5, 1)
    near = timing.Timing(1.05, 1.0, 1.2, 5, 1)
    assert timing.verdict(quick, slow).plain == "2.00x win"
    assert timing.verdict(slow, quick).plain == "0.50x LOSS"
    assert timing.verdict(quick, near).plain == "1.05x even"


def test_threads_that_spin_are_told(script):
    """The clock runs while this test burns a core in another thread."""
    import threading

    timing = importlib.import_module("timing")
    stop = threading.Event()
    data = np.ones((600, 600))

    def burn():
        while not stop.is_set():
            data @ data  # outside the interpreter's lock

    thread = threading.Thread(target=burn)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="still spin"):
            timing.settle(patience=0.2)
    finally:
        stop.set()
        thread.join()
    timing.settle()
