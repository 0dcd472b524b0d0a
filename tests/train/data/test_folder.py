"""Datasets from folders of images: sets, classes, channels, and errors."""

from pathlib import Path

import numpy as np
import pytest
from loading import build, images_by_label, read, refused, write_images
from PIL import Image


def test_test_set_is_held_out_if_missing(tmp_path: Path) -> None:
    cats, dogs = (write_images(tmp_path / name, 10) for name in ("cats", "dogs"))
    (tmp_path / "notes.txt").write_text("ignored")
    (tmp_path / "cats" / ".hidden.png").write_bytes(b"ignored")
    (tmp_path / "cats" / "thumbs.db").write_bytes(b"ignored")
    dataset = read(tmp_path)
    assert dataset.class_names == ("cats", "dogs")
    assert dataset.x_train.shape == (16, 9, 7, 1)
    assert np.bincount(dataset.y_test).tolist() == [2, 2]
    for label, written in enumerate((cats, dogs)):
        train = images_by_label(dataset.x_train, dataset.y_train, label)
        test = images_by_label(dataset.x_test, dataset.y_test, label)
        assert not train & test
        assert train | test == {pixels.tobytes() for pixels in written.values()}
    np.testing.assert_array_equal(read(tmp_path).x_test, dataset.x_test)


def test_given_sets_are_kept(tmp_path: Path) -> None:
    for name in ("2", "10", "1"):
        write_images(tmp_path / "train" / name, 3)
        write_images(tmp_path / "test" / name, 2, start=3)
    write_images(tmp_path / "valid" / "10", 1, start=5)
    dataset = read(tmp_path)
    assert dataset.class_names == ("1", "2", "10")
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [9, 1, 6]
    assert dataset.y_valid.tolist() == [2]


def test_grey_images_become_colour_among_colour_images(tmp_path: Path) -> None:
    colour = write_images(tmp_path / "a", 3, mode="RGB")
    grey = write_images(tmp_path / "b", 3)
    dataset = read(tmp_path)
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    assert images_by_label(x, y, 0) == {pixels.tobytes() for pixels in colour.values()}
    threefold = {np.stack([pixels] * 3, axis=-1).tobytes() for pixels in grey.values()}
    assert images_by_label(x, y, 1) == threefold


@pytest.mark.parametrize(
    "names", [("Train", "Test"), ("training", "testing"), ("train", "test")], ids="-".join
)
@pytest.mark.parametrize("valid", ["val", "validation", "VALID", "dev"])
def test_sets_are_read_by_the_names_that_people_give_them(
    tmp_path: Path, names: tuple[str, ...], valid: str
) -> None:
    for name, count in zip((*names, valid), (4, 3, 2), strict=True):
        for label in ("a", "b"):
            write_images(tmp_path / name / label, count)
    dataset = read(tmp_path)
    counts = [len(y) for y in (dataset.y_train, dataset.y_test, dataset.y_valid)]
    assert counts == [8, 6, 4]


def test_what_is_not_used_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "test", "eval", "more"):
        for label in ("a", "b"):
            write_images(tmp_path / name / label, 2)
    write_images(tmp_path / "train", 1)
    write_images(tmp_path, 1)
    (tmp_path / "train" / "a" / "5.heic").write_text("")
    (tmp_path / "train" / "b" / "boxes.txt").write_text("")
    (tmp_path / "notes").mkdir()
    first = Image.fromarray(np.zeros((9, 7), np.uint8))
    frames = [Image.fromarray(np.full((9, 7), 9, np.uint8))]
    first.save(tmp_path / "test" / "a" / "film.tif", save_all=True, append_images=frames)
    assert len(read(tmp_path).y_test) == 5
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{tmp_path}: 4 training, 5 test images of 2 classes"
    for text in (
        f"2 ({tmp_path / 'eval'}, {tmp_path / 'more'})",
        f"not used: 2 ({tmp_path / '000.png'}, {tmp_path / 'train' / '000.png'})",
        f".heic files are not read: 1 ({tmp_path / 'train' / 'a' / '5.heic'})",
        ".txt files are not read: 1",
        f"of which the first is read: 1 ({tmp_path / 'test' / 'a' / 'film.tif'})",
    ):
        assert sum(text in line for line in said) == 1, text
    assert len(said) == 6


def test_debris_of_operating_systems_is_no_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "__MACOSX", "@eaDir", ".git"):
        write_images(tmp_path / name, 2)
    assert read(tmp_path).class_names == ("a", "b")
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_images_of_sub_folders_belong_to_the_class_and_are_groups(tmp_path: Path) -> None:
    for i in range(6):
        for label in ("a", "b"):
            write_images(tmp_path / label / f"patient{i}" / "scan", 3, start=10 * i)
    dataset = build(tmp_path, valid_fraction=0.2)
    sides = [
        {file.split("/")[1] for file in files}
        for files in (dataset.files, *dataset.held_out.values())
    ]
    assert sum(map(len, sides)) == 6
    assert set.union(*sides) == {f"patient{i}" for i in range(6)}
    assert any("groups, not split between sets: 6 (patient0, " in note for note in dataset.notes)


def test_one_sub_folder_is_no_group(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write_images(tmp_path / label / "images", 5)
    dataset = read(tmp_path)
    assert dataset.groups is None
    assert np.bincount(dataset.y_test).tolist() == [1, 1]


def test_names_of_sets_are_no_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "flat" / "train", 2)
    write_images(tmp_path / "flat" / "test", 2)
    said = refused(tmp_path / "flat")
    assert "holds test, train, which are names of sets, not of classes" in said
    assert "train/CLASS" in said
    for name in ("my_train", "my_test"):
        for label in ("a", "b"):
            write_images(tmp_path / "own" / name / label, 2)
    assert "holds my_test, my_train, which are names of sets" in refused(tmp_path / "own")
    for name in ("train", "car", "bus"):
        write_images(tmp_path / "vehicles" / name, 2)
    assert read(tmp_path / "vehicles").class_names == ("bus", "car", "train")
    assert f"read as classes: 1 ({tmp_path / 'vehicles' / 'train'})" in capsys.readouterr().out
    for name in ("val", "validation"):
        write_images(tmp_path / "two" / name / "a", 2)
    assert "has val and validation; which one is used?" in refused(tmp_path / "two")


def test_a_test_set_without_class_folders_is_refused(tmp_path: Path) -> None:
    for label in ("a", "b"):
        write_images(tmp_path / "train" / label, 2)
    write_images(tmp_path / "test", 3)
    assert f"{tmp_path / 'test'} holds no class folders, but 3 images" in refused(tmp_path)


def test_class_folders_further_down_are_pointed_at(tmp_path: Path) -> None:
    write_images(tmp_path / "x" / "signs" / "a", 2)
    write_images(tmp_path / "x" / "signs" / "b", 2)
    (tmp_path / "x" / "notes").mkdir()
    assert f"Did you mean {tmp_path / 'x' / 'signs'}?" in refused(tmp_path)


def test_unusable_folders_are_refused(tmp_path: Path) -> None:
    assert "holds no class folders" in refused(tmp_path)
    write_images(tmp_path / "a", 2)
    assert "has one class folder, a; a classifier needs 2" in refused(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.heic").write_text("")
    said = refused(tmp_path)
    assert f"{tmp_path / 'b'} holds no images" in said
    assert "but 1 files (.heic); fill it or remove it" in said
    (tmp_path / "b" / "1.heic").unlink()
    write_images(tmp_path / "b", 1)
    assert len(read(tmp_path).x_test) == 1  # b has one image, for training
    (tmp_path / "a" / "000.png").unlink()
    assert "leaves none for testing" in refused(tmp_path)
    Image.fromarray(np.zeros((9, 7), np.uint16)).save(tmp_path / "b" / "deep.png")
    assert "8 bits" in refused(tmp_path)


def test_unknown_class_in_test_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 1)
    write_images(tmp_path / "test" / "c", 1)
    assert "a class that is not in the training folder; its classes are a, b" in refused(tmp_path)
