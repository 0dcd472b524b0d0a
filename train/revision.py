"""The commit of the checkout, for results that depend on the code."""

import subprocess
from pathlib import Path


def git_revision() -> str | None:
    """Returns the checkout's commit, with ``-dirty`` if files differ from it; None without git."""
    command = ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() or None
