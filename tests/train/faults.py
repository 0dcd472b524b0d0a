"""Faults at random moments of a real run, and after each the same command again.

    python tests/train/faults.py --count 30 --seed 0

Trains a tiny network by `python -m train fit` twice: undisturbed, and with faults drawn by a seed:
SIGKILL, SIGTERM, a full disk, a truncated file, 1 to 1,000 flipped bytes of a last checkpoint,
a process that is stopped and comes back, a clock that jumps by up to ten years. A table says what
each fault did; at the end the two runs must have the same parameters and metrics, bit for bit.

A full disk needs the right to mount a tmpfs, and a clock that jumps a C compiler: it is the clock
that the process reads (through a library that is loaded before libc). Without them these two kinds
are left out, and the first line says so.
"""

import argparse
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import numpy as np
from running import ROOT, train_command, train_env, write_tiny_config

from train.evaluation.evaluator import load_run
from train.run.checkpoints import Checkpoints
from train.run.interrupt import RESUME

SAVE_EVERY = 20
OPTIONS = ["--train.checkpoint-every", str(SAVE_EVERY), "--train.log-every", "10"]
OPTIONS += ["--train.eval-every", "60"]
STEPS_PER_FAULT = 200
DISK = "8m"


@dataclass
class Run:
    """The disturbed run.

    Attributes:
        command: its command line.
        env: its environment.
        disk: what is filled where the disk is full; None where that is left out.
        workdir: its work directory, on that disk.
        clock: file with the seconds by which its clock is wrong; None where that is left out.
        output: file with the output of all its processes.
        ends: exit codes of those that have ended.
        failed: number of saves that have failed since it was last started.
        damaged: steps of the checkpoints that are damaged.
    """

    command: list[str]
    env: dict[str, str]
    disk: Path | None
    workdir: Path
    clock: Path | None
    output: Path
    ends: list[int] = field(default_factory=list)
    failed: int = 0
    damaged: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Starts a process."""
        with self.output.open("ab") as out:
            self.process: subprocess.Popen[bytes] = subprocess.Popen(
                self.command, env=self.env, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT
            )

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal and waits for the end; a process that has ended already stays so."""
        self.process.send_signal(number)
        self.ends.append(self.process.wait(120))

    def step(self) -> int:
        """The last step that is logged."""
        path = self.workdir / "metrics.jsonl"
        found = re.findall(rb'"step": (\d+)', path.read_bytes()) if path.is_file() else []
        return max(map(int, found), default=0)

    def saved(self) -> list[int]:
        """The steps of the last checkpoints that are complete."""
        folder = self.workdir / "checkpoints" / "last"
        names = [path.name for path in folder.glob("*")]
        return sorted(int(name) for name in names if name.isdecimal())

    def said(self, pattern: str) -> list[str]:
        """What all processes have printed that fits a pattern."""
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        return re.findall(pattern, text)

    def wait_for_steps(self, draw: random.Random) -> None:
        """Waits for a random moment: of the start-up, or (mostly) of training, saves included."""
        if draw.random() < 0.2:
            time.sleep(draw.uniform(0, 5))
            return
        before = self.step()
        while self.process.poll() is None and self.step() == before:
            time.sleep(0.005)
        time.sleep(draw.uniform(0, 0.4))


def sigkill(run: Run, draw: random.Random) -> str:
    """Kills the process."""
    run.kill()
    return ""


def sigterm(run: Run, draw: random.Random) -> str:
    """Asks the process to end: it saves, or it has not begun to train."""
    run.kill(signal.SIGTERM)
    assert run.ends[-1] in (RESUME, -signal.SIGTERM), run.ends
    return f"exit code {run.ends[-1]}"


def full_disk(run: Run, draw: random.Random) -> str:
    """Fills the disk for up to two seconds, and goes on with the process, if it still runs."""
    assert run.disk
    failed = len(run.said("cannot be saved"))
    ballast = run.disk / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
    except OSError:
        pass
    seconds = draw.uniform(0.2, 2)
    time.sleep(seconds)
    ballast.unlink()
    run.failed += len(run.said("cannot be saved")) - failed
    return f"{seconds:.1f} s, {run.failed} saves failed"


def truncated_file(run: Run, draw: random.Random) -> str:
    """Kills the process and cuts off the end of a file of a checkpoint."""
    return _damage(run, draw, lambda data: data[: draw.randrange(len(data))])


def flipped_bytes(run: Run, draw: random.Random) -> str:
    """Kills the process and changes bytes of a file of a checkpoint."""

    def flip(data: bytearray) -> bytearray:
        for place in draw.choices(range(len(data)), k=round(10 ** draw.uniform(0, 3))):
            data[place] ^= draw.randrange(1, 256)
        return data

    return _damage(run, draw, flip)


def _damage(run: Run, draw: random.Random, change: Callable[[bytearray], bytearray]) -> str:
    run.kill()
    folder = run.workdir / "checkpoints" / "last"
    steps = run.saved()
    if len(steps) < 2:
        return "no two checkpoints yet"
    step = draw.choice([steps[1], steps[-1], steps[-1]])  # one good one is left
    files = sorted(path for path in (folder / str(step)).rglob("*") if path.is_file())
    path = draw.choice(files)
    before = path.read_bytes()
    after = change(bytearray(before))
    path.write_bytes(after)
    if after != before:
        run.damaged.add(step)
    return f"step {step}: {path.relative_to(folder / str(step))}" + " unchanged" * (after == before)


def stopped(run: Run, draw: random.Random) -> str:
    """Stops the process for up to four seconds, and lets it go on."""
    seconds = draw.uniform(0.5, 4)
    run.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    run.process.send_signal(signal.SIGCONT)
    return f"{seconds:.1f} s"


def clock_jump(run: Run, draw: random.Random) -> str:
    """Lets the clock of the process jump by an hour to ten years, forward or back."""
    assert run.clock
    seconds = round(3600 * 87600 ** draw.random()) * draw.choice([1, -1])
    with run.clock.open("r+b") as file:  # in place: the process has mapped it
        file.write(struct.pack("l", seconds))
    return f"{seconds / 86400:+,.1f} days"


Fault = Callable[[Run, random.Random], str]


def disturb(folder: Path, count: int, seed: int) -> list[str]:
    """Trains undisturbed, then with faults, and compares.

    Args:
        folder: an empty folder.
        count: number of faults.
        seed: seed of the faults.

    Returns:
        What went wrong: nothing.
    """
    draw = random.Random(seed)
    disk, clock, env = _mount(folder), folder / "clock", train_env(folder / "programs")
    env |= {"JAX_PLATFORMS": "cpu"}  # an installed libtpu would print errors of its own
    library = _build_clock(folder)
    clock.write_bytes(struct.pack("l", 0))
    kinds: list[Fault] = [sigkill, sigterm, truncated_file, flipped_bytes, stopped]
    kinds += [full_disk] if disk else []
    kinds += [clock_jump] if library else []
    missing = [] if disk else ["no tmpfs can be mounted: no full disk"]
    missing += [] if library else ["no C compiler: no jump of the clock"]
    print("; ".join([f"{count} faults of {len(kinds)} kinds, seed {seed}", *missing]), flush=True)
    steps = ["--train.steps", str(STEPS_PER_FAULT * count)]
    fit = train_command("fit", write_tiny_config(folder), *OPTIONS, *steps, "--workdir")
    whole, workdir = folder / "whole", (disk or folder) / "run"
    subprocess.run([*fit, whole], env=env, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    preload = {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(clock)} if library else {}
    run = Run([*fit, str(workdir)], env | preload, disk, workdir, clock, folder / "output.txt")
    wrong = []
    try:
        drawn = [kind for _ in range(count) for kind in draw.sample(kinds, len(kinds))][:count]
        for number, kind in enumerate(drawn, 1):
            wrong += _apply(run, kind, number, draw)
        if run.process.wait(600):
            wrong.append(f"the last process ended with exit code {run.process.returncode}")
        wrong += [
            f"printed: {line}" for line in run.said("Traceback.*|.*[Ee]rror:(?!.*No space).*")
        ]
        wrong += _compare(whole, workdir)
        if wrong:
            print(run.output.read_text(errors="replace")[-5000:])
    finally:
        run.process.kill()
        run.process.wait()
        if disk:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
    return wrong


def _apply(run: Run, kind: Fault, number: int, draw: random.Random) -> list[str]:
    """One fault, and a row of the table; returns what went wrong."""
    name = kind.__name__
    run.wait_for_steps(draw)
    if run.process.poll() is not None:
        wrong = [f"before fault {number}: ended with exit code {run.process.returncode}"]
        run.start()
        return wrong
    reached = run.step()
    detail = kind(run, draw)
    ended = run.process.poll()
    reached = max(reached, run.step())
    row = f"{number:>3}  {name:<15} at step {reached:>5}  {detail}"
    if ended is None:
        print(f"{row}; went on", flush=True)
        return []
    resumed = len(run.said("resuming from step"))
    whole = max(set(run.saved()) - run.damaged, default=0)
    run.start()
    while run.process.poll() is None and not _has_begun(run, resumed):
        time.sleep(0.02)
    if not _has_begun(run, resumed):
        print(f"{row}; not recovered", flush=True)
        return [f"fault {number}: exit code {run.process.returncode} when started again"]
    step, newest = _begun_at(run, resumed), max({whole, *run.damaged})
    again = max(reached - step, 0)
    print(f"{row}; resumed from {step}, {again} steps again", flush=True)
    # Two intervals at most, since another save may have been begun, and those that the damaged
    # checkpoints held, and one for each save that found the disk full.
    allowed = 2 * SAVE_EVERY + newest - whole + SAVE_EVERY * run.failed
    run.failed, run.damaged = 0, {bad for bad in run.damaged if bad < step}
    if step != whole:
        return [f"fault {number}: resumed from {step}, and not from {whole}"]
    return [f"fault {number}: {again} steps lost"] if again > allowed else []


def _has_begun(run: Run, resumed: int) -> bool:
    return len(run.said("resuming from step")) > resumed or (not run.saved() and run.step() > 0)


def _begun_at(run: Run, resumed: int) -> int:
    found = run.said(r"resuming from step ([\d,]+)")
    return int(found[-1].replace(",", "")) if len(found) > resumed else 0


def _mount(folder: Path) -> Path | None:
    """Mounts a small disk, if this process may."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(disk)]
    if shutil.which("mount") and not subprocess.run(mount, stderr=-3).returncode:
        return disk
    return None


def _build_clock(folder: Path) -> Path | None:
    """Compiles the library with the clock that jumps, if there is a compiler."""
    if not shutil.which("cc"):
        return None
    source, library = Path(__file__).with_name("clock.c"), folder / "clock.so"
    build = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"]
    subprocess.run(build, check=True)
    return library


def _compare(whole: Path, other: Path) -> list[str]:
    """Compares parameters, optimizer and metrics of two finished runs, bit for bit."""
    experiment = load_run(whole, data=False).experiment
    states = {}
    for path in (whole, other):
        checkpoints = Checkpoints(path / "checkpoints", read_only=True)
        for which in ("last", "best"):
            read = checkpoints.restore(which, experiment.abstract_state, experiment.mesh)[0]
            states[path, which] = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(read)]
        checkpoints.close()
    wrong = [
        f"the {which} states differ"
        for which in ("last", "best")
        if states[whole, which] != states[other, which]
    ]
    if (whole / "metrics.jsonl").read_bytes() != (other / "metrics.jsonl").read_bytes():
        wrong.append("the metrics differ")
    return wrong


def main() -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=30, help="number of faults")
    parser.add_argument("--seed", type=int, default=0, help="seed of the faults")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = disturb(Path(folder), arguments.count, arguments.seed)
    print(
        "\n".join(wrong) or "parameters and metrics are those of the undisturbed run, bit for bit"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
