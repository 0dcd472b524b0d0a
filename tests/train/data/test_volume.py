"""Volumes for registration: what is read of a file, what is cropped, where landmarks lie."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brain import make_brain, write_volume

from train.config import BrainVolume
from train.data.dataset import DataError, describe, reads_by_index, report
from train.data.volume import choose_landmarks, read_volume, reduce

nibabel = pytest.importorskip("nibabel")
pytestmark = pytest.mark.usefixtures("plain_numerics")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_volume(tmp_path_factory.mktemp("volume") / "brain.nii.gz", make_brain())


def centre_of(volume: np.ndarray) -> np.ndarray:
    """Returns the centre of mass (x, y, z) of a volume ``(d, h, w)``, normalised."""
    places = np.indices(volume.shape).reshape(3, -1) + 0.5
    mass = places @ volume.reshape(-1).astype(np.float64) / volume.sum(dtype=np.float64)
    centre: np.ndarray = (2 * mass / volume.shape - 1)[::-1]
    return centre


def test_every_example_is_the_volume_and_its_landmarks(path: Path) -> None:
    data = BrainVolume(str(path), shape=(16, 24, 20), landmarks=50, counts=(30, 4, 5)).build()
    spec = describe(data)
    assert spec.counts == {"train": 30, "valid": 4, "test": 5}
    assert spec.arrays == {
        "volumes": ((16, 24, 20, 1), "uint8"),
        "landmarks": ((50, 3), "float32"),
    }
    arrays: Any = data.splits["train"]
    assert reads_by_index(arrays)
    np.testing.assert_array_equal(arrays["volumes"][0], data.splits["test"]["volumes"][4])
    assert np.asarray(arrays["volumes"][3:7]).shape == (4, 16, 24, 20, 1)
    assert describe(BrainVolume(str(path), (16, 24, 20), 50, (30, 4, 5)).build()) == spec
    [line] = report(data)
    size = data.info["voxel_size"]
    assert line == (
        f"brain.nii.gz: 30 train, 4 valid, 5 test warps of 16 x 24 x 20 voxels of {size:.2g} mm"
    )


def test_the_brain_is_cropped_and_fills_most_of_one_axis(path: Path) -> None:
    volume, size = reduce(*read_volume(path), (16, 24, 20))
    assert volume.dtype == np.uint8
    assert volume.max() == 255
    extent = np.ptp(np.argwhere(volume[..., 0] > 25), axis=0) + 1
    assert 0.75 < np.max(extent / (16, 24, 20)) < 0.9
    box = np.ptp(np.argwhere(make_brain() > 0), axis=0) + 1
    assert size == pytest.approx(np.max(box / (0.8 * np.array([20, 24, 16]))))
    np.testing.assert_allclose(centre_of(volume[..., 0]), 0, atol=0.1)


def test_voxels_become_cubes_and_axes_are_turned_to_right_front_up(tmp_path: Path) -> None:
    full, size = reduce(*read_volume(write_volume(tmp_path / "a.nii", make_brain())), (16,) * 3)
    thick = write_volume(tmp_path / "b.nii", make_brain()[:, ::2], (1, 2, 1))
    reduced, other_size = reduce(*read_volume(thick), (16,) * 3)
    assert other_size == pytest.approx(size, rel=0.1)
    assert np.abs(reduced.astype(int) - full).mean() < 12
    flipped = make_brain()[::-1, :, ::-1].transpose(1, 0, 2)
    affine = np.zeros((4, 4))
    affine[0, 1], affine[1, 0], affine[2, 2], affine[3, 3] = -1, 1, -1, 1
    nibabel.Nifti1Image(flipped, affine).to_filename(tmp_path / "c.nii")
    np.testing.assert_array_equal(read_volume(tmp_path / "c.nii")[0], make_brain().T)


def test_landmarks_lie_in_the_brain_and_are_always_the_same(path: Path) -> None:
    volume, _ = reduce(*read_volume(path), (16, 24, 20))
    points = choose_landmarks(volume, 500)
    np.testing.assert_array_equal(points, choose_landmarks(volume, 500))
    x, y, z = np.floor((points + 1) / 2 * (20, 24, 16)).astype(int).T
    assert volume[z, y, x].min() > 25
    assert len(np.unique(points, axis=0)) == 500
    np.testing.assert_allclose(points.mean(axis=0), centre_of(volume[..., 0] > 25), atol=0.1)


def test_one_volume_in_a_file_of_several_axes_is_read(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a.nii", make_brain()[..., None])
    np.testing.assert_array_equal(read_volume(path)[0], make_brain().T)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (np.zeros((4, 4, 4), np.uint8), "is empty: its values are from 0.0 to 0.0"),
        (np.full((4, 4, 4), np.nan, np.float32), "holds NaN or infinite values"),
        (np.ones((4, 4, 4, 2), np.uint8), r"has shape \(4, 4, 4, 2\); it must be one volume"),
    ],
)
def test_files_without_a_brain_are_refused(
    volume: np.ndarray, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"a.nii {message}"):
        BrainVolume(str(write_volume(tmp_path / "a.nii", volume))).build()


def test_missing_and_damaged_files_are_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path='no.nii' does not exist.*MNI152.*nilearn"):
        BrainVolume("no.nii").build()
    (tmp_path / "a.nii").write_bytes(b"no brain")
    with pytest.raises(DataError, match="is damaged or no NIfTI file") as caught:
        BrainVolume(str(tmp_path / "a.nii")).build()
    assert "\n" not in str(caught.value)


def test_without_nibabel_the_message_says_how_to_install_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "nibabel":
            raise ModuleNotFoundError(name="nibabel")
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match="needs nibabel: pip install nibabel"):
        BrainVolume(str(path)).build()
