"""Runs the tutorials and keeps what they print and draw: ``python docs/tutorials/run.py``.

Needs the extra ``docs``. A test runs them too, and compares the kinds of their outputs.
"""

import os
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]


def run(path: Path) -> Any:
    """Runs a notebook from its first cell to its last, and returns it with the new outputs."""
    notebook = nbformat.read(path, as_version=4)
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3", record_timing=False)
    client.execute(cwd=str(FOLDER), env=env)
    notebook.metadata = {
        "kernelspec": notebook.metadata["kernelspec"],
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    for tutorial in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(run(tutorial), tutorial)
        print(tutorial.name, tutorial.stat().st_size, "bytes")
