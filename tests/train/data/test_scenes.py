"""Scenes: where digits are put, what clutter is made of, which splits there are."""

from pathlib import Path

import numpy as np
import pytest

from train.config import Scenes
from train.data.dataset import DataError, describe

LABELS = np.arange(800) % 4


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 8 x 8 whose pixels are 10 times their label, and 5."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    images = np.broadcast_to((10 * LABELS + 5)[:, None, None], (800, 8, 8)).astype(np.uint8)
    np.savez(path, x_train=images, y_train=LABELS, x_test=images[:8], y_test=LABELS[:8])
    return path


def test_each_scene_has_one_digit_of_the_class_inside_its_box(source: Path) -> None:
    data = Scenes(str(source), digit=2, count=15, canvas=20).build()
    scenes, boxes = (data.splits["train"][name] for name in ("images", "boxes"))
    assert (scenes.shape, boxes.shape) == ((15, 20, 20, 1), (15, 4))
    edges = np.round((boxes + 1) * 10).astype(int)
    for scene, (left, top, right, bottom) in zip(scenes, edges, strict=True):
        assert (right - left, bottom - top) == (8, 8)
        assert (scene[top:bottom, left:right] == 25).all()
        assert (scene == 25).sum() == 64
    assert len(np.unique(edges, axis=0)) > 10
    assert edges[:, :2].min() >= 0
    assert edges[:, 2:].max() <= 20


def test_clutter_is_of_any_class_and_hides_no_digit(source: Path) -> None:
    part = Scenes(str(source), digit=0, count=15, canvas=20, patches=6, patch_size=3)
    scenes, boxes = (part.build().splits["train"][name] for name in ("images", "boxes"))
    assert set(np.unique(scenes)) == {0, 5, 15, 25, 35}
    clutter = (scenes > 0).sum(axis=(1, 2, 3)) - 64
    assert (clutter <= 6 * 9).all()
    assert clutter.mean() > 15
    edges = np.round((boxes + 1) * 10).astype(int)
    for scene, (left, top, right, bottom) in zip(scenes, edges, strict=True):
        assert (scene[top:bottom, left:right] >= 5).all()


def test_scenes_are_those_of_testing_and_others_choose_the_parameters(source: Path) -> None:
    part = Scenes(str(source), digit=1, count=2, canvas=20, patches=2, patch_size=3)
    data = part.build()
    assert describe(data).counts == {"train": 2, "valid": 2, "test": 2}
    assert data.splits["test"] is data.splits["train"]
    assert not np.array_equal(data.splits["valid"]["boxes"], data.splits["train"]["boxes"])
    assert describe(data) == describe(part.build())


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"digit": 4}, r"data.digit=4 is not allowed; .* has the classes 0 to 3"),
        ({"count": 99}, r"has 20 valid images of class 0; give --data.count 20 or below"),
        ({"canvas": 7}, r"data.canvas=7 is too small for images of 8 x 8; give 8 or above"),
        ({"patch_size": 9}, r"data.patch_size=9 is larger than the images, 8 x 8; give 8 or below"),
    ],
)
def test_what_does_not_fit_is_refused(source: Path, fields: dict[str, int], words: str) -> None:
    with pytest.raises(DataError, match=words):
        Scenes(**{"name": str(source), "count": 2, "canvas": 20, **fields}).build()  # type: ignore[arg-type]
