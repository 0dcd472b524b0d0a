"""Configs as JSON: every part comes back, and code that no longer fits is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

import stn_jax as stn
from stn_jax.models import CNN, FCN, STN
from train.config import SGD, Cluttered, Config, Staircase, TrainConfig
from train.config.files import load_config
from train.config.serialize import flatten, from_dict, to_dict, user_sources

OWN = """
from dataclasses import dataclass
from train.config import Classification, Config

def hinge(logits, labels):
    return logits[:, 0]

@dataclass(frozen=True)
class Net:
    sizes: tuple = (1, 2)
    def build(self, input_shape, num_outputs, *, rngs):
        pass

def get_config():
    return Config(Net((3, 4)), task=Classification(loss=hinge))
"""


def round_trip(config: Config, source: Path = Path("nowhere")) -> Config:
    return from_dict(json.loads(json.dumps(to_dict(config))), source)


def test_every_part_comes_back() -> None:
    config = Config(
        STN(CNN((4, 5)), transform=stn.Affine(free=((True, False, True), (False, True, True)))),
        distortion=Cluttered(canvas=40),
        optim=SGD(schedule=Staircase(every=7)),
        train=TrainConfig(seed=7),
    )
    assert round_trip(config) == config
    chained = Config(STN(transform=stn.Chain(stn.Attention(), stn.Translation())))
    assert round_trip(chained) == chained


def test_parts_are_written_by_their_public_names() -> None:
    values = flatten(to_dict(Config(STN())))
    assert values["model.class"] == "stn_jax.models.STN"
    assert values["model.transform.class"] == "stn_jax.Affine"
    assert values["optim.class"] == "train.config.Adam"
    assert values["train.steps"] == 1000
    assert user_sources(Config(STN())) == {}


def test_parts_of_a_users_file_come_back_from_its_copy(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(OWN)
    config = load_config(path)
    values = to_dict(config)
    assert values["model"] == {"class": "config.py:Net", "sizes": [3, 4]}
    assert values["task"]["loss"] == {"function": "config.py:hinge"}
    assert user_sources(config) == {"config.py": OWN}
    copy = tmp_path / "config.py"
    copy.write_text(OWN)
    path.unlink()
    assert round_trip(config, copy) == config
    copy.write_text(OWN.replace("sizes", "widths"))
    with pytest.raises(ValueError, match="Net has no field 'sizes'; it has widths"):
        round_trip(config, copy)
    copy.write_text(OWN.replace("Net", "Network"))
    with pytest.raises(ValueError, match=r"config\.py:Net is not there any more"):
        round_trip(config, copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["train"].update(stepz=1), "TrainConfig has no field 'stepz'; it has steps"),
        (lambda v: v["model"].update({"class": "stn_jax.models.Gone"}), "Gone is not there"),
        (lambda v: v["model"].update({"class": "nosuch.Net"}), "nosuch.Net is not there"),
        (lambda v: v["model"].pop("class"), "is no part"),
        (lambda v: v["train"].update(steps=-1), "train.steps=-1"),
        (lambda v: v.pop("model"), "model"),
    ],
)
def test_what_the_code_no_longer_has_is_refused(change: Any, message: str) -> None:
    values = to_dict(Config(FCN()))
    change(values)
    with pytest.raises(ValueError, match=message):
        from_dict(values, Path("nowhere"))


def test_values_that_json_cannot_hold_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="define it at the top level"):
        to_dict(Config(FCN(), task=Config(FCN()).task.__class__(loss=lambda x, y: x)))
