"""Runs all benchmarks and writes their JSON and pictures to one folder.

python benchmarks/run.py
python benchmarks/run.py --only sampler memory --out runs/benchmarks
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = ("sampler", "tracing", "train_step", "scaling", "memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs each script in its own process; returns the number of failures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS)
    parser.add_argument("--out", type=Path, default=HERE.parent / "runs" / "benchmarks")
    options = parser.parse_args(arguments)

    failed = []
    for name in options.only:
        print(f"== {name} ==", flush=True)
        command = [sys.executable, HERE / f"{name}.py", "--out", options.out / f"{name}.json"]
        if subprocess.run(command).returncode:
            failed.append(name)
    print(f"Results are in {options.out}.")
    if failed:
        print(f"Failed: {', '.join(failed)}.", file=sys.stderr)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
