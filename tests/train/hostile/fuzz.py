"""Feeds readers malformed files, with 2 GB of memory and 20 seconds for each.

python fuzz.py READER,READER,... COUNT FOLDER

Prints how many files were read and refused, and ends with an error at the first that is neither;
that file is then FOLDER/last.
"""

import collections
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from readers import READERS

from train.errors import UserError

MEMORY = 2 << 30
SECONDS = 20


def outcome(read: Callable[[], Any]) -> str:
    """Reads within the time, and returns what became of it; a refusal must be one line."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    said = ""
    try:
        read()
    except UserError as error:
        said = str(error)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert "\n" not in said, said
    assert len(said) < 5000, said
    return "refused" if said else "read"


def fuzz(name: str, count: int, folder: Path) -> None:
    """Feeds a reader the files that were made to hurt, and so many others."""
    counts: collections.Counter[str] = collections.Counter()
    reader = READERS[name]()

    def feed(content: bytes) -> None:
        (folder / "last").write_bytes(content)  # here it is after a crash
        for read in reader.reads(folder / name, content):
            counts[outcome(read)] += 1

    (folder / name).mkdir()
    for content in reader.hostile:
        feed(content)
    quietly = settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    quietly(given(reader.malformed)(feed))()
    assert not Path("unpickled").exists()
    peak = peak_memory() >> 20
    assert peak < MEMORY >> 20, peak
    print(f"{name}: {counts['read']} read, {counts['refused']} refused, {peak} MB")


def peak_memory() -> int:
    """The largest size of this program so far, in bytes.

    (`resource.getrusage` says that of the process that started it, if it was larger.)
    """
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) << 10


def give_up(signal_number: int, frame: object) -> None:
    """Ends the process, whatever it does."""
    sys.exit(f"a file is not read in {SECONDS} seconds")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, give_up)
    names, number, where = sys.argv[1:]
    for each in names.split(","):
        fuzz(each, int(number), Path(where))
