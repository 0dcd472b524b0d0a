"""The verb ``report``: the papers' tables with the numbers of finished runs beside theirs."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from running import ROOT, check_error

from train.cli import main
from train.evaluation.paper import TABLES, Table
from train.evaluation.report import compare

RTS, R = "mnist_rts_st_fcn_affine", "mnist_r_fcn"
RESULT = "test error {} % (1 of 2 images)"


def write_run(folder: Path, name: str, error: float, **facts: Any) -> Path:
    """Writes the files of a finished run that a report reads."""
    summary = {"result": RESULT.format(error), "valid_error": 1.25, "test_error": error}
    summary |= {"steps": 1000, "seed": 0, "config": name, "seconds": 61.7, "parameters": 293936}
    summary |= {"command": f"python -m train fit configs/{name}.py", "date": "2026-01-31"}
    summary |= {"hardware": "Some | processor, 2 cores", "git_revision": "0123456789ab" + "c" * 28}
    summary |= facts
    folder.mkdir(parents=True)
    train = {"seed": summary["seed"], "steps": summary["steps"]}
    config = {"train": train, "data": {"manual_dir": str(folder)}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of one config and a shorter run of it, one run of another, one of neither."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, error in enumerate((0.71, 0.75, 0.82)):
        command = f"python -m train fit configs/{RTS}.py --train.seed {seed}"
        write_run(folder / f"rts{seed}", RTS, error, seed=seed, command=command)
    write_run(folder / "short", RTS, 0.1, steps=500)
    write_run(folder / "a", R, 2.18, hardware=None)
    write_run(folder / "mine", "mine", 7.0)
    (folder / "running" / "checkpoints" / "last" / "300").mkdir(parents=True)
    (folder / "running" / "config.json").write_text("{}")
    return folder


def test_runs_stand_in_their_cells_beside_the_papers_figures(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(runs), "--markdown"]) == 0
    page = capsys.readouterr().out
    table = page.split("\n## ")[1]
    assert "| ST-FCN Aff | 1.2 | missing | 0.8 | **0.76 (0.71 to 0.82, 3 seeds)** | 1.5 |" in table
    assert "| FCN | 2.1 | 2.18 | 5.2 | missing | 3.1 | missing | 3.2 | missing |" in table
    assert "| CNN | none | missing |" in page
    assert "Mean over 2 measured cells: paper 1.45, ours 1.47; no worse in 1.\n" in table
    rows = [re.split(r" (?<!\\)\| ", line) for line in page.split("## Runs")[1].splitlines()]
    facts = {(row[0], row[1], row[4]): row for row in rows if len(row) == 11}
    assert list(facts)[2:] == [
        ("| mnist_r_fcn", "0", "1,000"),
        (f"| {RTS}", "0", "500"),
        *((f"| {RTS}", seed, "1,000") for seed in "012"),
        ("| mine", "0", "1,000"),
    ]
    row = facts[f"| {RTS}", "2", "1,000"]
    assert row[2:4] == [RESULT.format(0.82), "1.25"]
    assert row[5:8] == ["62", "293,936", "Some \\| processor, 2 cores"]
    assert row[8:] == ["unknown", "0123456789", "2026-01-31 |"]
    assert facts["| mnist_r_fcn", "0", "1,000"][7] == "unknown"
    assert f"$ python -m train fit configs/{RTS}.py --train.seed 2\n" in page


def test_the_terminal_has_the_same_tables_and_names_what_is_not_finished(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.run.progress.console.width", 250)
    assert main(["report", *map(str, sorted(runs.iterdir()))]) == 0
    out = capsys.readouterr().out
    for table in TABLES:
        assert f"\n{table.title}" in f"\n{out}"
    cells = (r"ST-FCN Aff", r"1\.2", r"missing", r"0\.8", r"0\.76 \(0\.71 to 0\.82, 3 seeds\)")
    assert re.search(" +".join(cells), out)
    assert f"{runs / 'running'} is not finished; it is at step 300\n" in out
    facts = "1,000 steps, 62 s, 293,936 parameters; unknown; jax unknown, commit 0123456789, 2026"
    assert f"{R}, seed 0: {RESULT.format(2.18)}, validation 1.25\n    {facts}" in out
    assert f"\n    python -m train fit configs/{R}.py\n" in out


def test_a_run_names_the_one_whose_weights_it_began_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "second", RTS, 0.7)
    config = json.loads((folder / "config.json").read_text())
    config["train"]["start_from"] = "some/where/first"
    (folder / "config.json").write_text(json.dumps(config))
    assert main(["report", str(folder), "--markdown"]) == 0
    assert f"\n| {RTS} from first | 0 | test error 0.7 %" in capsys.readouterr().out
    assert main(["report", str(folder)]) == 0
    assert f"\n{RTS} from first, seed 0: test error 0.7 %" in capsys.readouterr().out


def test_two_runs_of_one_config_and_seed_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (write_run(tmp_path / "runs" / x, RTS, error) for x, error in (("a", 1), ("b", 2)))
    assert main(["report", str(tmp_path / "runs")]) == 2
    check_error(capsys, [f"{one} and {other} are runs of {RTS} with seed 0", "leave one out"])
    write_run(tmp_path / "runs" / "c", "mine", 1)
    write_run(tmp_path / "runs" / "d", "mine", 2)
    places = [str(tmp_path / "runs" / name) for name in "cd"]
    assert main(["report", *places, "--copy-to", str(tmp_path / "copies")]) == 2
    check_error(capsys, ["would both be copied to", "copies/mine"])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("summary.json", "{", ["summary.json is damaged"]),
        ("summary.json", '{"result": "x", "seed": 0}', ["has no steps"]),
        (
            "summary.json",
            '{"result": "x", "steps": 3, "seed": {}}',
            ["summary.json is damaged (seed is {})"],
        ),
        ("config.json", "[]", ["config.json is damaged", "holds no object"]),
    ],
)
def test_a_damaged_file_is_named(
    name: str, text: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "run", RTS, 1.0)
    (folder / name).write_text(text)
    assert main(["report", str(folder)]) == 2
    check_error(capsys, [*words, "leave this run out"])


def test_copies_of_runs_report_the_same_and_name_no_folder_of_this_machine(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = [str(runs / name) for name in ("rts0", "rts2", "a")]
    figures = runs / "a" / "figures"
    figures.mkdir()
    Image.new("RGBA", (1600, 1000), "orange").save(figures / "transformer.png")
    assert main(["report", *chosen, "--markdown", "--copy-to", str(tmp_path)]) == 0
    page = capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == [R, RTS, f"{RTS}_seed2"]
    for places in ([str(tmp_path)], [str(tmp_path), *chosen]):
        assert main(["report", *places, "--markdown"]) == 0
        assert capsys.readouterr().out == page
    for path in tmp_path.glob("*/*.json"):
        assert str(runs) not in path.read_text()
    with Image.open(tmp_path / R / "transformer.png") as picture:
        assert picture.size == (800, 500)


def test_a_summary_decides_no_path(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "in" / "run", "../elsewhere", 1.0)
    assert main(["report", str(folder), "--copy-to", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


def test_where_higher_is_better_bold_is_no_lower() -> None:
    table = Table("t", "rate", {"T": "t"}, {"a": ("a", (75.0,))}, "{:.1f}", higher_is_better=True)
    assert table.is_no_worse(75.0, 75.0)
    assert not table.is_no_worse(74.9, 75.0)
    assert compare(table, []).rows == [["a", "75.0", "missing"]]


def test_classes_are_averaged_and_listed_and_copied_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for digit, error in ((3, 1.0), (0, 0.0), (8, 2.0)):
        folder = write_run(tmp_path / "runs" / f"a{digit}", "colocalization_t", error)
        config = json.loads((folder / "config.json").read_text())
        config["data"]["digit"] = digit
        (folder / "config.json").write_text(json.dumps(config))
    copies = tmp_path / "copies"
    assert main(["report", str(tmp_path / "runs"), "--markdown", "--copy-to", str(copies)]) == 0
    page = capsys.readouterr().out
    assert "| T | 0.0 | 1.00 (0.00 to 2.00, 3 digits) |" in page
    assert "\n\nT by digit: 0: 0.00, 3: 1.00, 8: 2.00.\n" in page
    names = [f"colocalization_t_digit{digit}" for digit in (0, 3, 8)]
    assert sorted(path.name for path in copies.iterdir()) == names
    assert main(["report", str(copies), "--markdown"]) == 0
    assert capsys.readouterr().out == page
    write_run(tmp_path / "runs" / "b", "colocalization_t", 5.0)
    path = tmp_path / "runs" / "b" / "config.json"
    path.write_text((tmp_path / "runs" / "a3" / "config.json").read_text())
    assert main(["report", str(tmp_path / "runs")]) == 2
    check_error(capsys, ["are runs of colocalization_t with seed 0 and digit 3; leave one out"])


def test_every_cell_has_a_config_and_every_config_of_a_table_its_cell() -> None:
    names = [cell.config for table in TABLES for cell in table]
    assert len(names) == len(set(names))
    configs = {path.stem for path in (ROOT / "configs").glob("[!_]*.py")}
    assert set(names) <= configs
    starts = tuple(f"{start}_" for table in TABLES for start in table.columns.values())
    assert {name for name in configs if name.startswith(starts)} <= set(names)


def test_the_page_of_results_is_the_output_of_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["report", "results", "--markdown"]) == 0
    page = capsys.readouterr().out
    assert (ROOT / "RESULTS.md").read_text(encoding="utf-8") == page
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in page.split("\n## ")[1].splitlines() if line.startswith("|")]
    assert set(table) <= set(readme), "README.md has the first table of RESULTS.md"
