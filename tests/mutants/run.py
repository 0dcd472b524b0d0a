"""Mutation testing of stn_jax/sampling and stn_jax/transforms: does a test notice a changed line?

Draws mutants at random (of cosmic-ray's operators, one of each place that may be changed), changes
one place in a copy of the tree and runs the quick tests of the file's room there: its own test
file, the room's contract suite, then the rest, up to the first failure. A mutant that no test
notices survives. What was run is kept in runs/mutants.jsonl, so a run that was stopped goes on
where it was; `--again` runs survivors anew.

    python tests/mutants/run.py --count 60 --seed 0
"""

import argparse
import ast
import concurrent.futures
import difflib
import hashlib
import json
import os
import queue
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "mutants.jsonl"
ROOMS = ("sampling", "transforms")
FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
# Decorators that change time and memory, and no result.
COSTS_ONLY = re.compile(r"jit|cache|checkpoint|typecheck")
# `a < b` as `a is b` is a warning or always false: any test would notice.
IDENTITY = re.compile(r"ReplaceComparisonOperator_(?!Is).*_Is(Not)?$")


@dataclass(frozen=True)
class Mutant:
    """One change of one place in one file."""

    file: str
    line: int
    operator: str
    source: str

    @property
    def key(self) -> str:
        """Tells mutants apart, whatever else of the tree changes."""
        return hashlib.sha256(f"{self.file}\n{self.source}".encode()).hexdigest()[:16]

    def diff(self) -> str:
        """The changed lines."""
        old = (ROOT / self.file).read_text().splitlines()
        lines = difflib.unified_diff(old, self.source.splitlines(), lineterm="", n=0)
        return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def places(file: Path) -> list[tuple[tuple[int, int], list[tuple[str, int]]]]:
    """Lists places of a file that may be changed, each with its ``(operator, occurrence)``."""
    source = file.read_text()
    lines, tree = source.splitlines(), get_ast(source)
    annotations = _annotations(source)
    found: dict[tuple[int, int], list[tuple[str, int]]] = {}
    for name in sorted(plugins.operator_names()):
        operator = plugins.get_operator(name)
        if operator.arguments() or IDENTITY.search(name):
            continue
        positions = [p for node in ast_nodes(tree) for p in operator().mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            is_annotation = any(low <= start <= high for low, high in annotations)
            is_cost = "RemoveDecorator" in name and COSTS_ONLY.search(lines[start[0] - 1])
            if not (is_annotation or is_cost):
                found.setdefault(start, []).append((name, occurrence))
    return sorted(found.items())


def _annotations(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations stand: they change no result."""
    nodes = []
    for node in ast.walk(ast.parse(source)):
        for field in ("annotation", "returns"):
            annotation = getattr(node, field, None)
            if annotation is not None:
                nodes.append(annotation)
    return [((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in nodes]


def draw(count: int, seed: int) -> list[Mutant]:
    """Draws places, each as likely as any other, and a change of each."""
    chance = random.Random(seed)
    files = [f for room in ROOMS for f in sorted((ROOT / "stn_jax" / room).rglob("*.py"))]
    sites = [(file, *place) for file in files for place in places(file)]
    chance.shuffle(sites)
    mutants: list[Mutant] = []
    for file, (line, _), changes in sites:
        name, occurrence = chance.choice(changes)
        old = file.read_text()
        new = mutate_code(old, plugins.get_operator(name)(), occurrence)
        if new is not None and new != old:
            operator = name.removeprefix("core/")
            mutants.append(Mutant(str(file.relative_to(ROOT)), line, operator, new))
        if len(mutants) == count:
            break
    return mutants


def stages(file: str) -> list[list[str]]:
    """The quick tests of a file's room, those that know it best first."""
    inside = Path(file).relative_to("stn_jax")
    room = Path("tests") / inside.parts[0]
    stem = inside.stem.removeprefix("_") if inside.stem != "__init__" else inside.parent.name
    own = Path("tests") / inside.parent / f"test_{stem}.py"
    first = [str(path) for path in (own, room / "test_contract.py") if (ROOT / path).exists()]
    rest = [str(room), *(f"--ignore={path}" for path in first)]
    return [*([path] for path in first), rest]


def run_tests(tree: Path, tests: list[str], timeout: float) -> tuple[bool, str]:
    """Runs tests in a copy of the tree; returns whether they pass, and the first failure."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "--tb=no"]
    process = subprocess.Popen(
        [*command, "-p", "no:cacheprovider", "-p", "no:xdist", *tests],
        cwd=tree,
        env=os.environ | {"XLA_FLAGS": FLAGS, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False, f"no result after {timeout:.0f} s"
    if process.returncode in (0, 5):  # 5: no test was selected
        return True, ""
    failures = re.findall(r"^(?:FAILED|ERROR) (\S+)", output, re.MULTILINE)
    return False, failures[0] if failures else output.strip()[-200:]


def copy_tree(target: Path) -> Path:
    """Copies what git knows of, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def judge(mutant: Mutant, tree: Path, timeout: float) -> dict[str, object]:
    """Runs a mutant in a copy of the tree, which is as before afterwards."""
    start, file = time.monotonic(), tree / mutant.file
    original, killer = file.read_text(), ""
    file.write_text(mutant.source)
    try:
        for tests in stages(mutant.file):
            passed, killer = run_tests(tree, tests, timeout)
            if not passed:
                break
    finally:
        file.write_text(original)
    row = {name: value for name, value in asdict(mutant).items() if name != "source"}
    seconds = round(time.monotonic() - start, 1)
    return row | {"key": mutant.key, "diff": mutant.diff(), "killer": killer, "seconds": seconds}


def known() -> dict[str, dict[str, object]]:
    """What was run before, by key; the last run counts."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {row["key"]: row for row in rows}


def main() -> None:
    """Runs what is not known yet, and prints survivors and the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60, help="how many mutants are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for a set of tests")
    parser.add_argument("--again", action="store_true", help="run survivors of earlier runs anew")
    options = parser.parse_args()

    mutants, done = draw(options.count, options.seed), known()
    if options.again:
        done = {key: row for key, row in done.items() if row["killer"]}
    todo = [mutant for mutant in mutants if mutant.key not in done]
    RESULTS.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        trees: queue.Queue[Path] = queue.Queue()
        for job in range(options.jobs):
            trees.put(copy_tree(Path(folder) / str(job)))

        def run(mutant: Mutant) -> dict[str, object]:
            tree = trees.get()
            try:
                return judge(mutant, tree, options.timeout)
            finally:
                trees.put(tree)

        if todo:
            check_unchanged(trees, {Path(m.file).parts[1] for m in todo}, options.timeout)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for future in concurrent.futures.as_completed([pool.submit(run, m) for m in todo]):
                row = future.result()
                done[row["key"]] = row
                with RESULTS.open("a") as results:
                    results.write(json.dumps(row) + "\n")
                outcome = f"killed by {row['killer']}" if row["killer"] else "SURVIVED"
                print(f"{row['file']}:{row['line']} {outcome} ({row['seconds']} s)", flush=True)
    report([done[mutant.key] for mutant in mutants])


def check_unchanged(trees: "queue.Queue[Path]", rooms: set[str], timeout: float) -> None:
    """Stops where tests fail without any mutant: all would seem to be noticed."""
    tree = trees.get()
    for room in sorted(rooms):
        passed, killer = run_tests(tree, [f"tests/{room}"], timeout)
        if not passed:
            sys.exit(f"tests/{room} fails without a mutant: {killer}")
    trees.put(tree)


def report(rows: list[dict[str, object]]) -> None:
    """Prints survivors, with what was changed, and the score."""
    survivors = [row for row in rows if not row["killer"]]
    for row in survivors:
        print(f"\n{row['file']}:{row['line']} {row['operator']}\n{row['diff']}")
    print(f"\n{len(rows) - len(survivors)} of {len(rows)} mutants were noticed.")


if __name__ == "__main__":
    main()
