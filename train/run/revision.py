"""What says which code ran: the commit of the checkout, and checksums of files."""

import subprocess
import zlib
from collections.abc import Mapping
from pathlib import Path


def git_revision(folder: Path = Path(__file__).parent) -> str | None:
    """Returns the commit of a checkout, by default this one's, or None without git.

    ``-dirty`` is appended if files differ from the commit.
    """
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None


def checksums(sources: Mapping[str, str]) -> dict[str, str]:
    """Returns a checksum of each file, by name, and of each package of this checkout."""
    found = {name: zlib.crc32(text.encode()) for name, text in sources.items()}
    root = Path(__file__).parents[2]
    for package in ("train", "stn_jax"):
        total = 0
        for path in sorted((root / package).rglob("*.py")):
            total = zlib.crc32(path.read_bytes(), total)
        found[package] = total
    return {name: f"{total:08x}" for name, total in found.items()}
