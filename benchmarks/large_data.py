"""Do images that are read by index train as those in memory, in little memory, and as fast?

    python benchmarks/large_data.py
    python benchmarks/large_data.py --repeats 5 --out runs/benchmarks/large_data.json

Writes 100,000 random images of 64 x 64 x 3 bytes (1.2 GB) as a folder of ``.npy`` files, and trains
the same network on them in processes of their own: with all images on the device, and memory-mapped
(``data.memory_limit``). The losses of the two must be the same. Runs take turns; before each, the
file's pages are dropped from the page cache, so that the first read is from the disk.

The memory of a process is the peak of its anonymous memory (RssAnon in /proc/self/status, read
every 10 ms): pages of a mapped file are the kernel's to take back, and count only in the largest
resident set. The process that reads by index also runs under a hard limit of its writable private
memory (RLIMIT_DATA), which counts what is reserved and never touched, too.
"""

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from timing import save

from stn_jax.models import FCN, STN
from train.config import Config, Images, TrainConfig
from train.fit import fit

WAYS = {"memory": 1_000_000, "index": 0}
"""``data.memory_limit`` of each way to hold the images, in megabytes."""


def write_images(folder: Path, count: int, side: int) -> int:
    """Writes random images of ten classes and returns the bytes of the largest file."""
    random = np.random.default_rng(0)
    for split, images in {"train": count, "test": max(20, count // 100)}.items():
        labels = np.arange(images, dtype=np.int32) % 10
        shape = (images, side, side, 3)
        file = np.lib.format.open_memmap(folder / f"x_{split}.npy", "w+", np.uint8, shape)
        for start in range(0, images, 1000):
            part = file[start : start + 1000]
            brightness = 60 + 10 * labels[start : start + 1000, None, None, None]
            part[:] = random.integers(0, brightness, part.shape, np.uint8)
        file.flush()
        np.save(folder / f"y_{split}.npy", labels)
    return (folder / "x_train.npy").stat().st_size


def drop_pages(folder: Path) -> None:
    """Drops the files of a folder from the page cache."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class PeakMemory(threading.Thread):
    """Watches the anonymous memory of this process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.done, self.peak = threading.Event(), 0

    def run(self) -> None:
        """Reads it every 10 ms."""
        while not self.done.wait(0.01):
            status = Path("/proc/self/status").read_text()
            found = re.search(r"RssAnon:\s+(\d+) kB", status)
            self.peak = max(self.peak, int(found[1]) * 1024 if found else 0)


def train_here(way: str, folder: Path, workdir: Path, steps: int, batch: int) -> dict[str, Any]:
    """Trains in this process and returns its losses, speed and memory."""
    every = max(1, steps // 10)
    config = Config(
        STN(FCN((64,)), output_shape=(32, 32)),
        data=Images(str(folder), memory_limit=WAYS[way]),
        train=TrainConfig(
            steps=steps,
            batch_size=batch,
            log_every=every,
            eval_every=steps,
            checkpoint_every=steps,
            steps_per_dispatch=1,
        ),
    )
    memory = PeakMemory()
    memory.start()
    fit(config, workdir)
    memory.done.set()
    memory.join()
    summary = json.loads((workdir / "summary.json").read_text())
    return {
        "losses": (workdir / "metrics.jsonl").read_text(),
        "examples_per_second": summary["examples_per_second"],
        "anonymous": memory.peak,
        "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def train_apart(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Trains in a process of its own; one that reads by index has limited memory."""
    drop_pages(folder)
    with tempfile.TemporaryDirectory() as workdir:
        result = Path(workdir) / "result.json"
        command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
        command += ["--steps", str(options.steps), "--batch", str(options.batch)]
        command += ["--limit", str(options.limit), "--out", str(result)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{way}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def compare(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Trains in both ways, in turns, and returns what was measured."""
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(options.repeats):
        for way, found in runs.items():
            found.append(train_apart(way, folder, options))
    losses = {run["losses"] for found in runs.values() for run in found}
    ways = {
        way: {
            "examples_per_second": statistics.median(run["examples_per_second"] for run in found),
            "anonymous": max(run["anonymous"] for run in found),
            "resident": max(run["resident"] for run in found),
        }
        for way, found in runs.items()
    }
    return {"same_losses": len(losses) == 1, "ways": ways, "runs": runs}


def show(results: dict[str, Any]) -> None:
    """Prints what was measured."""
    table = Table("images", "examples/s", "anonymous memory", "resident set, with mapped pages")
    for way, found in results["ways"].items():
        sizes = [f"{found[name] / 1e9:.2f} GB" for name in ("anonymous", "resident")]
        table.add_row(way, f"{found['examples_per_second']:,.0f}", *sizes)
    console = Console()
    console.print(table)
    speeds = [results["ways"][way]["examples_per_second"] for way in ("index", "memory")]
    console.print(
        f"images of {results['bytes'] / 1e9:.2f} GB; losses are "
        f"{'the same' if results['same_losses'] else 'NOT THE SAME'}; read by index, "
        f"{100 * speeds[0] / speeds[1]:.0f} % of the speed"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=2.0, help="RLIMIT_DATA, GB; 0 is none")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--way", choices=WAYS, help="train in this process")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        if options.way:
            if options.way == "index" and options.limit:
                limit = int(options.limit * 1e9)
                resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
            workdir = Path(temporary) / "run"
            found = train_here(options.way, options.folder, workdir, options.steps, options.batch)
            options.out.write_text(json.dumps(found))
            return
        size = write_images(Path(temporary), options.images, options.side)
        results = compare(Path(temporary), options) | {"bytes": size}
    show(results)
    if options.out:
        save(options.out, results)


if __name__ == "__main__":
    main()
