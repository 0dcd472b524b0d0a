"""Datasets from folders of images: sets, classes, channels, and errors."""

import numpy as np
from loading import images_by_label, read, refused, write_images
from PIL import Image


def test_test_set_is_held_out_if_missing(tmp_path):
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


def test_given_sets_are_kept(tmp_path):
    for name in ("2", "10", "1"):
        write_images(tmp_path / "train" / name, 3)
        write_images(tmp_path / "test" / name, 2, start=3)
    write_images(tmp_path / "valid" / "10", 1, start=5)
    dataset = read(tmp_path)
    assert dataset.class_names == ("1", "2", "10")
    assert [len(y) for y in (dataset.y_train, dataset.y_valid, dataset.y_test)] == [9, 1, 6]
    assert dataset.y_valid.tolist() == [2]


def test_grey_images_become_colour_among_colour_images(tmp_path):
    colour = write_images(tmp_path / "a", 3, mode="RGB")
    grey = write_images(tmp_path / "b", 3)
    dataset = read(tmp_path)
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    assert images_by_label(x, y, 0) == {pixels.tobytes() for pixels in colour.values()}
    threefold = {np.stack([pixels] * 3, axis=-1).tobytes() for pixels in grey.values()}
    assert images_by_label(x, y, 1) == threefold


def test_unusable_folders_are_refused(tmp_path):
    assert "holds no class folders" in refused(tmp_path)
    write_images(tmp_path / "a", 2)
    assert "has one class folder, a; a classifier needs 2" in refused(tmp_path)
    (tmp_path / "b").mkdir()
    assert f"{tmp_path / 'b'} holds no images" in refused(tmp_path)
    write_images(tmp_path / "b", 1)
    assert len(read(tmp_path).x_test) == 1  # b has one image, for training
    (tmp_path / "a" / "000.png").unlink()
    assert "leaves none for testing" in refused(tmp_path)
    Image.fromarray(np.zeros((9, 7), np.uint16)).save(tmp_path / "b" / "deep.png")
    assert "8 bits" in refused(tmp_path)


def test_unknown_class_in_test_is_refused(tmp_path):
    for name in ("a", "b"):
        write_images(tmp_path / "train" / name, 1)
    write_images(tmp_path / "test" / "c", 1)
    assert "a class that is not in the training folder; its classes are a, b" in refused(tmp_path)
