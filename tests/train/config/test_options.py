"""The command line's view of a config: every field of the parts that were chosen, and no other."""

from dataclasses import dataclass
from typing import Any

import pytest

import stn_jax as stn
from stn_jax.models import CNN, FCN, STN, TutorialNet
from train.config import RTS, SGD, Config, Linear, NoDistortion, Rotation
from train.config.options import field_docs, parse
from train.errors import UserError

CONFIG = Config(STN(FCN((8,)), output_shape=(9, 9)))


def override(*arguments: str, config: Config = CONFIG) -> Config:
    parsed = parse(config, {}, arguments, prog="train")
    assert parsed is not None
    return parsed[0]


def test_without_options_nothing_changes() -> None:
    assert override() == CONFIG


@pytest.mark.parametrize(
    ("arguments", "path", "value"),
    [
        (["--optim.learning-rate", "3e-4"], "optim.learning_rate", 3e-4),
        (["--train.steps=7"], "train.steps", 7),
        (["--model.classifier.hidden", "3", "4"], "model.classifier.hidden", (3, 4)),
        (["--model.output-shape", "None"], "model.output_shape", None),
        (["--distortion.scale", "0.5", "2"], "distortion.scale", (0.5, 2.0)),
        (["--data.name", "my.npz"], "data.name", "my.npz"),
        (["--model.transform", "tps"], "model.transform", stn.ThinPlateSpline((4, 4))),
        (["--optim", "sgd", "--optim.momentum", "0.5"], "optim", SGD(momentum=0.5)),
        (["--optim.schedule", "linear"], "optim.schedule", Linear()),
        (["--distortion=R", "--distortion.degrees", "30"], "distortion", Rotation(degrees=30)),
        (["--model.classifier", "cnn"], "model.classifier", CNN()),
        (["--model", "fcn"], "model", FCN()),
        # Names of earlier versions.
        (["--model.name", "tutorial"], "model", TutorialNet()),
        (["--data.distortion", "none", "--data.canvas", "40"], "distortion", NoDistortion(40)),
        (["--data.canvas=50"], "distortion", RTS(canvas=50)),
        (["--optim.outside-penalty", "0.1"], "task.outside_penalty", 0.1),
    ],
)
def test_any_field_of_any_part_can_be_set(arguments: list[str], path: str, value: Any) -> None:
    found: Any = override(*arguments)
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "fcn", "--model.transform", "tps"], "--model.transform is no option of FCN"),
        (["--optim.momentum", "0.5"], "--optim.momentum is no option of Adam"),
        (["--model.build", "5"], "--model.build is no option of STN"),
        (["--model.transform.free", "5"], "--model.transform.free cannot be given here"),
        (["--train", "5"], "--train cannot be given here; give options of its fields"),
        (["--optim.schedule.every", "5"], "no option of Cosine; it has no options"),
        (["--train.stepz", "5"], "no option of TrainConfig; perhaps you meant --train.steps;"),
        (["--trains.steps", "5"], "--trains.steps is unknown"),
        (["--steps", "5"], "--steps is unknown; perhaps you meant --train.steps"),
        (["--model.transform", "tpz"], "'tpz' is not allowed; choose one of 'affine'"),
        (["--model", "vgg"], "--model 'vgg' is not allowed; choose one of 'fcn'"),
        (["--train.steps", "many"], "'many'"),
        (["--train.steps", "-4"], "train.steps=-4 is not allowed; it must be above 0"),
        (["--model.padding-mode", "mirror"], "mirror"),
    ],
)
def test_what_the_chosen_parts_do_not_have_is_refused(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        override(*arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_help_shows_the_fields_of_the_chosen_parts_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert parse(CONFIG, {}, ["--help"], prog="train") is None
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--model.classifier.hidden" in text
    assert "units of each hidden layer" in text
    assert "Peak learning rate" in text
    assert "--model.classifier.filters" not in text
    assert "momentum" not in text


@dataclass(frozen=True)
class Own:
    """A user's part.

    Attributes:
        size: how large
            it is.
    """

    size: int = 3
    depth: int = 4
    """How deep it is."""
    things: Any = None
    transform: str = "mine"

    def build(self) -> None:
        """Builds nothing."""


def test_fields_of_a_users_own_part_are_options() -> None:
    found = override("--model.size", "5", config=Config(Own()))
    assert found.model == Own(5)
    found = override("--model.transform", "yours", config=Config(Own()))
    assert found.model == Own(transform="yours")
    assert field_docs(Own) == {"size": "how large it is.", "depth": "How deep it is."}
