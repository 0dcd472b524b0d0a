"""Timing for all benchmarks: competitors in one process, in turns, while no other thread is busy.

`alternate` measures, `Timing` is its result, `verdict` compares two of them, `save` writes JSON.
README.md explains the method.
"""

import datetime
import gc
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jax
from rich.text import Text

from train.run.revision import git_revision

Name = TypeVar("Name", bound=Hashable)

_SLICE = 0.01  # seconds to watch for busy threads; kernels account them every 1 to 4 ms
_QUIET = 0.1  # fraction of a core that counts as idle
_TURN = 0.02  # shortest time of a turn in seconds
_CALLS = 1000  # largest number of calls for each turn
_PACKAGES = ("stn-jax", "jax", "jaxlib", "numpy", "torch", "kornia", "dm-pix", "opencv")


@dataclass(frozen=True)
class Competitor:
    """Code to time: ``call`` returns when it has finished, or returns JAX arrays to wait for.

    ``prepare`` runs before each of its turns and is not timed, for example to set thread counts.
    """

    call: Callable[[], object]
    prepare: Callable[[], object] = field(default=lambda: None)


@dataclass(frozen=True)
class Timing:
    """Seconds for each call: median and quartiles over turns, each the median of its calls."""

    median: float
    low: float
    high: float
    turns: int
    calls: int

    def overlaps(self, other: "Timing") -> bool:
        """Returns whether the interquartile ranges overlap, so that neither is clearly faster."""
        return self.low <= other.high and other.low <= self.high


def alternate(competitors: Mapping[Name, Competitor], *, repeats: int = 15) -> dict[Name, Timing]:
    """Times competitors in turns, A B C A B C ...

    A turn waits until no thread is busy, makes one untimed call to warm up caches and threads, and
    then makes at least one timed call and as many as fill 20 ms.

    Args:
        competitors: competitors by name.
        repeats: number of turns of each.

    Returns:
        Timings by name.
    """
    calls: dict[Name, int] = {}
    for name, competitor in competitors.items():
        competitor.prepare()
        jax.block_until_ready(competitor.call())  # compiles
        seconds = min(_call(competitor) for _ in range(2))
        calls[name] = min(_CALLS, math.ceil(_TURN / seconds))
    medians: dict[Name, list[float]] = {name: [] for name in competitors}
    gc.collect()
    gc.disable()
    try:
        for _ in range(repeats):
            for name, competitor in competitors.items():
                competitor.prepare()
                settle()
                _call(competitor)
                turn = [_call(competitor) for _ in range(calls[name])]
                medians[name].append(statistics.median(turn))
    finally:
        gc.enable()
    return {name: summarize(turns, calls[name]) for name, turns in medians.items()}


def settle(patience: float = 1.0) -> None:
    """Waits until no thread of this process is busy.

    Idle OpenMP workers of PyTorch spin for about 5 ms after each call and would take a core from
    the next competitor.

    Args:
        patience: longest time to wait, in seconds.

    Raises:
        RuntimeError: if threads keep spinning, as with ``OMP_WAIT_POLICY=active``.
    """
    end = time.perf_counter() + patience
    while time.perf_counter() < end:
        wall, busy = time.perf_counter(), time.process_time()
        time.sleep(_SLICE)
        if time.process_time() - busy < _QUIET * (time.perf_counter() - wall):
            return
    raise RuntimeError(
        f"threads of this process still spin after {patience} s, so timings would not be fair. "
        "Unset OMP_WAIT_POLICY, KMP_BLOCKTIME and GOMP_SPINCOUNT."
    )


def _call(competitor: Competitor) -> float:
    start = time.perf_counter()
    jax.block_until_ready(competitor.call())
    return time.perf_counter() - start


def summarize(turns: Sequence[float], calls: int) -> Timing:
    """Returns median and quartiles of the turns, each the median of ``calls`` calls."""
    low, median, high = (
        statistics.quantiles(turns, n=4, method="inclusive") if len(turns) > 1 else [*turns] * 3
    )
    return Timing(median, low, high, len(turns), calls)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Returns the geometric mean of ratios; NaN without any."""
    logs = [math.log(ratio) for ratio in ratios]
    return math.exp(statistics.fmean(logs)) if logs else math.nan


def milliseconds(timing: Timing) -> str:
    """Formats a timing as ``median ± half the interquartile range``, in milliseconds."""
    spread = (timing.high - timing.low) / 2
    digits = max(0, 2 - math.floor(math.log10(timing.median * 1e3)))
    return f"{timing.median * 1e3:.{digits}f} ± {spread * 1e3:.{digits}f}"


def verdict(ours: Timing, theirs: Timing) -> Text:
    """Formats the ratio of their time to ours with the word win, even or LOSS."""
    ratio = theirs.median / ours.median
    if ours.overlaps(theirs):
        word, style = "even", "yellow"
    else:
        word, style = ("win", "green") if ratio > 1 else ("LOSS", "bold red")
    return Text(f"{ratio:.2f}x {word}", style=style)


def metadata() -> dict[str, Any]:
    """Returns what a timing depends on besides the timed code."""
    try:
        device: str | None = jax.devices()[0].device_kind
    except RuntimeError:
        device = None
    scheduling = ("other", "fifo", "rr", "batch", "iso", "idle")
    policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else 0
    torch = sys.modules.get("torch")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git_revision": git_revision(),
        "cpu": cpu_model(),
        "cores": cores(),
        "jax_device": device,
        "torch_device": torch.cuda.get_device_name()
        if torch and torch.cuda.is_available()
        else None,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "load_average": os.getloadavg()[0],
        "scheduling": scheduling[policy] if policy < len(scheduling) else str(policy),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("OMP_", "KMP_", "GOMP_", "MKL_NUM", "XLA_", "JAX_"))
        },
    }


def cores() -> int:
    """Returns the number of cores available to this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """Returns the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(name: str) -> str | None:
    for candidate in (name, f"{name}-python", f"{name}-python-headless"):
        try:
            return importlib.metadata.version(candidate)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def save(path: Path, results: Mapping[str, Any]) -> None:
    """Writes results and `metadata` as JSON; each `Timing` as its fields, in seconds."""

    def fields(value: object) -> Any:
        if isinstance(value, Timing):
            return asdict(value)
        raise TypeError(f"{value!r} is a {type(value).__name__}, which JSON does not support.")

    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(
        {"metadata": metadata(), **results}, indent=1, default=fields, allow_nan=False
    )
    path.write_text(text + "\n")
