"""The verb ``report``: the tables of the papers with the numbers of finished runs beside theirs."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable
from rich.text import Text

from train.errors import shorten
from train.evaluation.finished import REPEATS, UNKNOWN, Run, find_runs, read_run, select
from train.evaluation.paper import TABLES, Table
from train.run.progress import console, log
from train.run.workdir import SUMMARY, saved_step

MISSING = "missing"
"""What stands in a cell without a finished run."""


class Sheet(NamedTuple):
    """A table to be shown: its title, its header, its rows of text, and lines below it."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def report(places: Sequence[Path], *, markdown: bool = False, copy_to: Path | None = None) -> int:
    """Prints the tables of the papers beside the numbers of finished runs; the verb ``report``.

    Runs of one config that differ in the seed or the digit alone are averaged. Where a config was
    trained in several ways, say for 1,000 and for 20,000 steps, the table has the longest; every
    run is listed below.

    Args:
        places: work directories, or folders of them.
        markdown: whether to print Markdown.
        copy_to: folder to copy the finished runs to, without their checkpoints.

    Returns:
        The exit code.

    Raises:
        UserError: for a folder that holds no run, a damaged file, or two runs of one seed.
    """
    folders = find_runs(places)
    runs: list[Run] = []
    for run in map(read_run, folders):
        if run is not None and all(run.summary != other.summary for other in runs):  # not a copy
            runs.append(run)
    sheets = make_sheets(runs)
    if copy_to is not None:
        from train.evaluation.archive import archive

        archive(runs, copy_to)
    unfinished = [folder for folder in folders if not (folder / SUMMARY).is_file()]
    if markdown:
        print(to_markdown(sheets, runs), end="")
        return 0
    for sheet in sheets[:-1]:
        log(sheet.title)
        console.print(to_rich(sheet), soft_wrap=False)
        for note in sheet.notes:
            log(note)
        log("")
    for line in describe_runs(sheets[-1], runs):
        log(line)
    for folder in unfinished:
        step = saved_step(folder)
        log(f"{folder} is not finished{'' if step is None else f'; it is at step {step:,}'}")
    return 0


def make_sheets(runs: Sequence[Run]) -> list[Sheet]:
    """Returns the papers' tables, and one with every run."""
    return [*(compare(table, runs) for table in TABLES), list_runs(runs)]


def compare(table: Table, runs: Sequence[Run]) -> Sheet:
    """Returns a paper's table with the mean and the spread of the runs beside each figure."""
    header = ["network"]
    for column in table.columns:
        header += [f"{column}, paper", "ours"]
    rows, pairs, notes = [], [], []
    for row in table.rows:
        texts = [row]
        for name, figure in table.cells(row):
            chosen = [run for run in select(runs, name) if run.number(table.metric) is not None]
            values = [run.number(table.metric) or 0.0 for run in chosen]
            text = _mean_and_spread(table, values, _name_repeats(chosen))
            notes += _list_digits(table, row, chosen)
            if values and figure is not None:
                pairs.append((figure, statistics.fmean(values)))
                text = f"**{text}**" if table.is_no_worse(pairs[-1][1], figure) else text
            texts += ["none" if figure is None else f"{figure}", text]
        rows.append(texts)
    if pairs:
        theirs, ours = (
            table.text.format(statistics.fmean(one)) for one in zip(*pairs, strict=True)
        )
        good = sum(table.is_no_worse(value, figure) for figure, value in pairs)
        cells = f"{len(pairs)} measured cell{'s' * (len(pairs) != 1)}"
        notes.append(f"Mean over {cells}: paper {theirs}, ours {ours}; no worse in {good}.")
    return Sheet(table.title, header, rows, notes)


def _mean_and_spread(table: Table, values: Sequence[float], repeats: str) -> str:
    if not values:
        return MISSING
    mean = table.text.format(statistics.fmean(values))
    if len(values) == 1:
        return mean
    low, high = table.text.format(min(values)), table.text.format(max(values))
    return f"{mean} ({low} to {high}, {len(values)} {repeats})"


def _name_repeats(runs: Sequence[Run]) -> str:
    """Returns what runs differ in: seeds, digits, or both."""
    differ = [x for x in REPEATS if len({str(run.repeat.get(x)) for run in runs}) > 1]
    return f"{differ[0]}s" if len(differ) == 1 else "runs"


def _list_digits(table: Table, row: str, runs: Sequence[Run]) -> list[str]:
    """Returns a line with the number of each digit, where runs have one."""
    found: dict[Any, list[float]] = {}
    for run in sorted(runs, key=lambda run: str(run.repeat.get("digit"))):
        if "digit" in run.repeat:
            found.setdefault(run.repeat["digit"], []).append(run.number(table.metric) or 0.0)
    each = (f"{digit}: {table.text.format(statistics.fmean(x))}" for digit, x in found.items())
    return [f"{row} by digit: {', '.join(each)}."] if found else []


def list_runs(runs: Sequence[Run]) -> Sheet:
    """Returns a table of every run: result, cost, and what is needed to repeat it."""
    header = ["config", "seed", "result", "validation", "steps", "seconds", "parameters"]
    header += ["hardware", "jax", "commit", "date"]
    rows = [
        [
            *(_name_and_start(run), run.text("seed"), run.text("result"), _validation(run)),
            *(run.text("steps", "{:,}"), run.text("seconds", "{:,.0f}")),
            *(run.text("parameters", "{:,}"), run.text("hardware"), run.text("jax_version")),
            *(_short_commit(run.text("git_revision")), run.text("date")),
        ]
        for run in _in_order(runs)
    ]
    return Sheet("Runs", header, rows, [])


def _name_and_start(run: Run) -> str:
    return run.name if run.start_from is None else f"{run.name} from {run.start_from}"


def _validation(run: Run) -> str:
    """Returns the monitored metric on the validation examples, which chose the parameters."""
    keys = [key for key in run.summary if key.startswith("valid_")]
    return run.text(keys[0], "{:.2f}") if keys else UNKNOWN


def _short_commit(revision: str) -> str:
    commit, dash, state = revision.partition("-")
    return f"{commit[:10]}{dash}{state}"


def _in_order(runs: Iterable[Run]) -> list[Run]:
    """Returns runs in the order of the tables; those of no table come last."""
    order = {cell.config: i for i, cell in enumerate(cell for table in TABLES for cell in table)}
    return sorted(
        runs,
        key=lambda run: (
            order.get(run.name, len(order)),
            run.name,
            run.number("steps") or 0,
            run.number("seed") or 0,
            str(run.folder),
        ),
    )


def describe_runs(sheet: Sheet, runs: Sequence[Run]) -> list[str]:
    """Returns the lines about each run in a terminal, which is too narrow for their table."""
    lines = []
    for row, run in zip(sheet.rows, _in_order(runs), strict=True):
        fact = dict(zip(sheet.header, row, strict=True))
        cost = f"{fact['steps']} steps, {fact['seconds']} s, {fact['parameters']} parameters"
        place = f"{fact['hardware']}; jax {fact['jax']}, commit {fact['commit']}, {fact['date']}"
        lines += [
            f"{fact['config']}, seed {fact['seed']}: {fact['result']}, validation "
            f"{fact['validation']}",
            f"    {cost}; {place}",
            f"    {run.text('command')}",
        ]
    return lines


def commands(runs: Iterable[Run]) -> list[str]:
    """Returns the command of each run, in the order of the tables."""
    found = [run.summary.get("command") for run in _in_order(runs)]
    return list(dict.fromkeys(shorten(text, 2000) for text in found if isinstance(text, str)))


def to_rich(sheet: Sheet) -> RichTable:
    """Returns a table for the terminal."""
    table = RichTable(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False)
    for title in sheet.header:
        table.add_column(Text(title), overflow="fold")
    for row in sheet.rows:
        table.add_row(
            *(Text(one.strip("*"), style="bold" if one.startswith("**") else "") for one in row)
        )
    return table


def to_markdown(sheets: Iterable[Sheet], runs: Iterable[Run]) -> str:
    """Returns a page: each table, then the commands."""
    parts = [
        "# Results",
        "The output of `python -m train report results --markdown`. Parameters were chosen on "
        "validation images; test images were looked at once, at the end. Bold is no worse than the "
        "paper; several seeds have mean, smallest and largest. A run from another began with its "
        "weights; its steps and seconds are without those.",
    ]
    for sheet in sheets:
        parts += [f"## {sheet.title}", markdown_table(sheet), *sheet.notes]
    lines = commands(runs)
    if lines:
        parts += ["## Commands", "\n".join(["```console", *(f"$ {line}" for line in lines), "```"])]
    return "\n\n".join(parts) + "\n"


def markdown_table(sheet: Sheet) -> str:
    """Returns a table of Markdown."""
    rows = [sheet.header, ["---"] * len(sheet.header), *sheet.rows]
    return "\n".join(f"| {' | '.join(map(_escape, row))} |" for row in rows)


def _escape(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
