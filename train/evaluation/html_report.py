"""``report.html``: all of a run on one page, in one file that needs no server and no network."""

import string
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from train.config.files import CONFIG_FILE
from train.config.serialize import flatten
from train.data.dataset import SPLITS
from train.evaluation.curves import read_curves
from train.evaluation.snapshots import load_snapshots, pick_moments
from train.evaluation.svg import data_url, define_image, draw_curve, draw_input, encode
from train.experiment import Experiment
from train.run.json_files import read_json, write_text
from train.run.workdir import CONFIG, REMEDY, REPORT, SUMMARY
from train.tasks.task import Metric

TEMPLATE = Path(__file__).with_name("report.html")

RAN = {
    "config": "config",
    "command": "command",
    "date": "date",
    "git_revision": "commit",
    "jax_version": "JAX",
    "devices": "devices",
    "hardware": "hardware",
}
"""Entries of the summary that say what was run, and how the page calls them."""

TITLES = {
    "transformer": "What the transformer makes of images",
    "examples": "Examples",
    "mistakes": "The worst mistakes",
    "confusion": "Labels and predictions",
}
"""Titles of figures, by the names of their files; any other is called by its name."""

DRAWN_HERE = ("curves", "learning")
"""Figures that the page draws itself."""

FORMATS = {"seconds": "{:,.0f} s", "examples_per_second": "{:,.0f} examples/s"}
"""How times of the summary are written; a metric says itself how it is."""

MAX_CLASSES = 25
"""Largest number of classes whose confusion is a table; that of more is the figure."""


def write_report(workdir: Path, experiment: Experiment) -> Path:
    """Writes ``report.html`` of a finished run, from the files in its work directory.

    Args:
        workdir: work directory, with summary, metrics, snapshots and figures.
        experiment: its experiment, which knows the metrics and the names of the classes.

    Returns:
        The path of the page.

    Raises:
        UserError: if a file is damaged.
    """
    summary = read_json(workdir / SUMMARY, ("result",), REMEDY)
    config = flatten(read_json(workdir / CONFIG, (), REMEDY))
    sections = [
        _section("Curves", _curves(workdir, experiment)),
        _section("The transformer's window during training", _windows(workdir)),
        *_figures(workdir, summary, experiment.spec.info.get("class_names", ())),
        _section("Numbers", _table(_numbers(summary, experiment.task.metrics))),
        _section("What was run", _table(_facts(summary, experiment)) + _config(workdir, config)),
    ]
    name = str(summary.get("config") or workdir.name)
    page = string.Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(f"{Path(experiment.spec.name).name}, {name}"),
        result=escape(str(summary["result"])),
        sections="\n".join(sections),
    )
    write_text(workdir / REPORT, page)
    return workdir / REPORT


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def _curves(workdir: Path, experiment: Experiment) -> str:
    curves = read_curves(workdir, experiment)
    panels = [
        f"<figure><figcaption>{escape(curve.title)}</figcaption>{draw_curve(curve)}</figure>"
        for curve in curves
    ]
    names = {"train": "training", "valid": "validation", "test": "test"}
    splits = [split for split in names if any(split in curve.lines for curve in curves)]
    legend = "".join(f'<span class="{split}">{names[split]}</span>' for split in splits)
    return f'<p class="legend">{legend}</p>\n<div class="panels">{"".join(panels)}</div>'


def _windows(workdir: Path) -> str:
    """Returns a row for each image of the snapshots, and a column for each step."""
    moments = pick_moments(load_snapshots(workdir))
    if not moments:
        return ""
    images = moments[0].images
    keys = [f"input{i}" for i in range(len(images))]
    defined = "".join(define_image(key, image) for key, image in zip(keys, images, strict=True))
    head = "".join(f"<th>step {moment.step:,}</th>" for moment in moments)
    rows = []
    for i, key in enumerate(keys):
        cells = []
        for moment in moments:
            grids = [grid[i] for grid, _ in moment.warps]
            outputs = "".join(
                f'<img class="w{k}" alt="" src="{encode(features[i])}">'
                for k, (_, features) in enumerate(moment.warps)
            )
            shown = draw_input(key, images.shape[1:3], grids)
            cells.append(f'<td>{shown}<div class="outputs">{outputs}</div></td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return (
        "<p>Each image with the window that the transformer reads (the dot marks the upper left "
        "corner of its output), and below it what it reads there.</p>\n"
        f'<svg class="defined" aria-hidden="true"><defs>{defined}</defs></svg>\n'
        f'<div class="wide"><table class="windows"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _figures(workdir: Path, summary: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Returns the figures of the task, those of known titles first, and the confusion."""
    found = {path.stem: path for path in sorted((workdir / "figures").glob("*.png"))}
    tabled = "confusion" in summary and len(names) <= MAX_CLASSES
    sections = []
    for stem in sorted(found, key=[*TITLES, *found].index):
        if stem in DRAWN_HERE or (stem == "confusion" and tabled):
            continue
        title = TITLES.get(stem, stem.replace("_", " ").capitalize())
        address = data_url(found[stem].read_bytes())
        image = f'<img class="sheet" alt="{escape(title)}" src="{address}">'
        sections.append(_section(title, f'<div class="wide">{image}</div>'))
    if tabled:
        sections.append(_section(TITLES["confusion"], _confusion(summary["confusion"], names)))
    return sections


def _confusion(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """Returns a table of the labels (rows) and their predictions (columns), and each error."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for label, (name, counts) in enumerate(zip(names, matrix, strict=True)):
        total = max(sum(counts), 1)
        cells = []
        for predicted, count in enumerate(counts):
            kind = "right" if predicted == label else "wrong"
            # The square root makes a share of one percent visible.
            share = f"--share: {(count / total) ** 0.5:.3f}"
            cells.append(f'<td class="{kind}" style="{share}">{count or ""}</td>')
        error = 100 * (1 - counts[label] / total)
        rows.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}<td>{error:.2f} %</td></tr>")
    return (
        "<p>How many images of each label (rows) were predicted as which (columns).</p>\n"
        f'<div class="wide"><table class="confusion"><thead><tr><th></th>{head}<th>error</th></tr>'
        f"</thead>\n<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _numbers(
    summary: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> Iterable[tuple[str, str]]:
    """Yields each number of the summary as text, but for the errors of the classes."""
    for name, value in flatten(dict(summary)).items():
        if not isinstance(value, int | float) or name.startswith("class_errors."):
            continue
        metric = metrics.get(name.partition("_")[2])
        text = FORMATS.get(name) or (metric.text if metric else "")
        plain = "{:,}" if isinstance(value, int) else "{:,.4g}"
        yield name.replace("_", " "), (text or plain).format(value)


def _facts(summary: Mapping[str, Any], experiment: Experiment) -> list[tuple[str, str]]:
    """Returns what was run: the data and how many examples of them, then entries of the summary."""
    spec = experiment.spec
    counts = ", ".join(f"{spec.counts[key]:,} {key}" for key in SPLITS if spec.counts.get(key))
    ran = [(text, str(summary[key])) for key, text in RAN.items() if summary.get(key)]
    return [("data", f"{spec.name}: {counts} examples"), *ran]


def _config(workdir: Path, config: Mapping[str, Any]) -> str:
    values = _table((name, f"{value}") for name, value in config.items())
    details = f"<details><summary>Every value of the config</summary>{values}</details>"
    path = workdir / CONFIG_FILE
    if path.is_file():
        source = escape(path.read_text(encoding="utf-8", errors="replace"))
        details += f"<details><summary>{CONFIG_FILE}</summary><pre>{source}</pre></details>"
    return details


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows]
    return f'<table class="facts"><tbody>{"".join(lines)}</tbody></table>'
