"""What is kept of a finished run beside its work directory: summary, config and small pictures."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from train.errors import UserError
from train.evaluation.finished import PLACES, Run
from train.run.json_files import read_json, write_json
from train.run.workdir import CONFIG, SUMMARY

PICTURES = ("transformer.png", "examples.png", "learning.png", "mistakes.png")
"""Those figures of a run that are kept, where it has them."""

WIDTH = 800
"""Width of a kept picture in pixels."""

COLORS = 48
"""Number of its colours, in a palette: a sheet of digits has about 50 kB."""


def archive(runs: Iterable[Run], folder: Path) -> list[Path]:
    """Copies finished runs to ``folder/CONFIG``, with ``_digitN``, and ``_seedN`` for N above 0.

    ``config.json`` is copied without `PLACES`, such as where data lie on this machine.

    Args:
        runs: the runs.
        folder: where to; what is there of the same runs is replaced.

    Returns:
        The folders written.

    Raises:
        UserError: if two of the runs would have the same folder.
    """
    written: dict[Path, Path] = {}
    for run in runs:
        name, seed = run.name, run.repeat["seed"]
        name += f"_digit{run.repeat['digit']}" if "digit" in run.repeat else ""
        target = folder / (f"{name}_seed{seed}" if seed else name)
        if target.resolve() == run.folder.resolve():
            continue
        if target in written:
            raise UserError(
                f"{written[target]} and {run.folder} would both be copied to {target}; leave one "
                "out."
            )
        target.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run.folder / SUMMARY, target / SUMMARY)
        config = read_json(run.folder / CONFIG, (), "restore it, or leave this run out")
        for part, field in PLACES:
            if isinstance(config.get(part), dict):
                config[part].pop(field, None)
        write_json(target / CONFIG, config)
        for name in PICTURES:
            if (run.folder / "figures" / name).is_file():
                shrink(run.folder / "figures" / name, target / name)
        written[target] = run.folder
    return list(written)


def shrink(source: Path, target: Path) -> None:
    """Writes a small copy of a picture."""
    with Image.open(source) as picture:
        image = picture.convert("RGB")
    height = round(image.height * WIDTH / image.width)
    image = image.resize((WIDTH, height), Image.Resampling.LANCZOS)
    image.quantize(COLORS).save(target, optimize=True)
