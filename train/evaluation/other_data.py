"""Other data for a trained network: those of the run at another place, or images of their own."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.data.dataset import Arrays, DataError, Dataset, describe
from train.data.sources import Images
from train.errors import UserError
from train.evaluation.inputs import match_channels
from train.experiment import Experiment
from train.run.progress import log


@dataclass(frozen=True, eq=False)
class OtherData:
    """Data for evaluation alone; as `train.data.dataset.Data`, without a training set.

    Attributes:
        name: name for display.
        splits: arrays by split.
        info: what the data of the run had.
    """

    name: str
    splits: Mapping[str, Arrays]
    info: Mapping[str, Any]


def with_data(experiment: Experiment, name: str) -> Experiment:
    """Returns an experiment with other data.

    Data equal to those of the run, which have moved, are used as they were. Of any others the
    classes are matched by their names, sizes and channels are adapted, and images that would be
    held out for testing are tested together with those that they would be held out of.

    Args:
        experiment: the experiment of a run, without data.
        name: name of images, as ``data.name``.

    Raises:
        UserError: if the run has data of another kind, or these do not fit the network.
    """
    part, spec = experiment.config.data, experiment.spec
    if not isinstance(part, Images):
        raise UserError(
            f"--data {name} is not allowed; the data of this run are {type(part).__name__}, and "
            "only those of Images have a name."
        )
    try:
        moved = dataclasses.replace(part, name=name).build()
        if describe(moved).crc32 == spec.crc32:
            log(f"{name} holds the data of the run")
            return dataclasses.replace(experiment, data=moved)
    except DataError:  # of other sizes, say
        pass
    other = _adapt(_read_other(part, name, spec.arrays["images"][0]), experiment)
    counts = {split: len(arrays["labels"]) for split, arrays in other.splits.items()}
    listed = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    log(f"{name}: {listed} images, other data than those of the run")
    return dataclasses.replace(experiment, data=other, spec=spec._replace(counts=counts))


def _read_other(part: Images, name: str, image_shape: Sequence[int]) -> Dataset:
    height, width, _ = image_shape
    size = height if height == width else part.image_size
    dataset = dataclasses.replace(part, name=name, image_size=size, valid_fraction=0.0).build()
    for line in dataset.notes:
        log(line)
    if dataset.image_shape[:2] != (height, width):
        raise UserError(
            f"{name} has images of {dataset.image_shape[1]} x {dataset.image_shape[0]} pixels; the "
            f"network was trained on {width} x {height}, so resize them to that."
        )
    return dataset


def _adapt(dataset: Dataset, experiment: Experiment) -> OtherData:
    info, (*_, channels) = experiment.spec.info, experiment.spec.arrays["images"][0]
    names = list(info["class_names"])
    unknown = [name for name in dataset.class_names if name not in names]
    if unknown:
        raise UserError(
            f"{dataset.name} has classes that the network does not know: {', '.join(unknown[:5])}; "
            f"it knows {', '.join(names[:20])}."
        )
    numbers = np.array([names.index(name) for name in dataset.class_names], np.int32)
    members = dict(dataset.splits)
    if "test" in dataset.held_out:
        parts = members.pop("train"), members["test"]
        keys = ("images", "labels")
        members["test"] = {key: np.concatenate([part[key] for part in parts]) for key in keys}
    splits = {
        split: {
            "images": match_channels(dataset.name, arrays["images"], channels),
            "labels": numbers[arrays["labels"]],
        }
        for split, arrays in members.items()
    }
    return OtherData(dataset.name, splits, info)
