"""The commit of the checkout, for results that depend on the code."""

import subprocess
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
