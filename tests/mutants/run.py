"""Mutation testing of stn_jax/sampling and stn_jax/transforms: does a test notice a changed line?

Draws mutants at random (of cosmic-ray's operators, one of each place that may be changed), changes
one place in a copy of the tree and runs the quick tests of the file's room there: its own test
file, the room's contract suite, the rest, and what is asked of every public function, up to the
first failure. A mutant that no test notices survives. What was run is kept in runs/mutants.jsonl,
so a run that was stopped goes on where it was; `--again` runs survivors anew.

Most programs of a mutant are those of the unchanged tree, so the run of the unchanged tests, which
comes first, keeps what it compiles (runs/mutants_programs), and mutants read it.

    python tests/mutants/run.py --count 60 --seed 0
"""

import argparse
import ast
import concurrent.futures
import contextlib
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
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "runs" / "mutants.jsonl"
PROGRAMS = ROOT / "runs" / "mutants_programs"
ROOMS = ("sampling", "transforms")
# What is asked of every public function, whatever its room.
EVERY_ROOM = ("tests/test_public_api.py", "tests/test_every_function.py")
FLAGS = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
RUNNING: set[subprocess.Popen[str]] = set()
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
        if new is not None and new != old and is_python(new):
            operator = name.removeprefix("core/")
            mutants.append(Mutant(str(file.relative_to(ROOT)), line, operator, new))
        if len(mutants) == count:
            break
    return mutants


def is_python(source: str) -> bool:
    """Whether a change is one at all: cosmic-ray takes the ``*`` of a signature for a product."""
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def room_tests(file: str) -> list[str]:
    """The tests of a file's room, those that know the file best first."""
    inside = Path(file).relative_to("stn_jax")
    room = Path("tests") / inside.parts[0]
    stem = inside.stem.removeprefix("_") if inside.stem != "__init__" else inside.parent.name
    own = Path("tests") / inside.parent / f"test_{stem}.py"

    def distance(test: Path) -> int:
        if test == own:
            return 0
        if test == room / "test_contract.py":
            return 1
        return 2 if re.search(rf"\b{stem}\b", (ROOT / test).read_text()) else 3

    tests = [path.relative_to(ROOT) for path in sorted((ROOT / room).rglob("test_*.py"))]
    return [*(str(test) for test in sorted(tests, key=distance)), *EVERY_ROOM]


def run_tests(
    tree: Path, tests: list[str], timeout: float, *, keep_programs: bool = False
) -> tuple[bool, str]:
    """Runs tests in a copy of the tree; returns whether they pass, and the first failure."""
    options = ["-x", "-q", "-m", "not slow", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,
        env=environment(tree, keep_programs=keep_programs),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    RUNNING.add(process)
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return False, f"no result after {timeout:.0f} s"
    finally:
        kill(process)
        RUNNING.discard(process)
    if process.returncode == 0:
        return True, ""
    failures = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", output, re.MULTILINE)
    tail = f"exit status {process.returncode}: {output.strip()[-200:]}"
    return False, failures[0] if failures else tail


def environment(tree: Path, *, keep_programs: bool) -> dict[str, str]:
    """Variables for a copy of the tree, which is imported and not what pip installed.

    Mutants only read programs: two that run at a time cannot meet a program half written.
    """
    return os.environ | {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "XLA_FLAGS": FLAGS,
        "JAX_COMPILATION_CACHE_DIR": str(PROGRAMS),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0" if keep_programs else "1e9",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def kill(process: "subprocess.Popen[str]") -> None:
    """Kills tests that still run, and what they have started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
    original = file.read_text()
    file.write_text(mutant.source)
    try:
        _, killer = run_tests(tree, room_tests(mutant.file), timeout)
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


def remember(row: dict[str, object]) -> None:
    """Adds to what was run."""
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a") as results:
        results.write(json.dumps(row) + "\n")


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
    if todo:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; run again to go on"))
        with tempfile.TemporaryDirectory() as folder:
            trees = [copy_tree(Path(folder) / str(job)) for job in range(options.jobs)]
            check_unchanged(trees[0], {Path(m.file).parts[1] for m in todo}, options.timeout)
            for row in judge_all(todo, trees, options.timeout):
                done[str(row["key"])] = row
                remember(row)
                outcome = f"killed by {row['killer']}" if row["killer"] else "SURVIVED"
                print(f"{row['file']}:{row['line']} {outcome} ({row['seconds']} s)", flush=True)
    report([done[mutant.key] for mutant in mutants])


def judge_all(
    mutants: list[Mutant], trees: list[Path], timeout: float
) -> Iterator[dict[str, object]]:
    """Runs mutants, as many at a time as there are trees; stops them all when it is stopped."""
    free: queue.Queue[Path] = queue.Queue()
    for tree in trees:
        free.put(tree)

    def run(mutant: Mutant) -> dict[str, object]:
        tree = free.get()
        try:
            return judge(mutant, tree, timeout)
        finally:
            free.put(tree)

    with concurrent.futures.ThreadPoolExecutor(len(trees)) as pool:
        try:
            for future in concurrent.futures.as_completed([pool.submit(run, m) for m in mutants]):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(RUNNING):
                kill(process)
            raise


def check_unchanged(tree: Path, rooms: set[str], timeout: float) -> None:
    """Stops where tests fail without any mutant: all would seem to be noticed.

    Once for a state of the tree: what passed is remembered as mutants are.
    """
    import_path = [sys.executable, "-c", "import stn_jax; print(stn_jax.__file__)"]
    variables = environment(tree, keep_programs=False)
    imported = subprocess.check_output(import_path, cwd=tree, env=variables, text=True).strip()
    if imported != str(tree / "stn_jax" / "__init__.py"):
        sys.exit(f"tests would import {imported}, which is no mutant's")
    passed = known()
    for test in (*(f"tests/{room}" for room in sorted(rooms)), *EVERY_ROOM):
        key = f"unchanged {test} {digest(tree, test)}"
        if key in passed and PROGRAMS.exists():
            continue
        passes, killer = run_tests(tree, [test], timeout, keep_programs=True)
        if not passes:
            sys.exit(f"{test} fails without a mutant: {killer}")
        remember({"key": key, "killer": ""})


def digest(tree: Path, test: str) -> str:
    """Of all that a test file, or a folder of them, depends on."""
    folders = [tree / "stn_jax", tree / test]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    files += [tree / name for name in (test, "tests/conftest.py", "pyproject.toml")]
    contents = b"".join(path.read_bytes() for path in files if path.is_file())
    return hashlib.sha256(contents).hexdigest()[:16]


def report(rows: list[dict[str, object]]) -> None:
    """Prints survivors, with what was changed, and the score."""
    survivors = [row for row in rows if not row["killer"]]
    for row in survivors:
        print(f"\n{row['file']}:{row['line']} {row['operator']}\n{row['diff']}")
    print(f"\n{len(rows) - len(survivors)} of {len(rows)} mutants were noticed.")


if __name__ == "__main__":
    main()
