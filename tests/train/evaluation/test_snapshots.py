"""Snapshots of a finished run, and those that a page shows."""

from pathlib import Path

import numpy as np

from train.evaluation.snapshots import IMAGES, MOMENTS, Snapshot, load_snapshots, pick_moments


def test_a_run_takes_snapshots_from_its_first_to_its_last_step(finished_run: Path) -> None:
    snapshots = load_snapshots(finished_run)
    steps = [snapshot.step for snapshot in snapshots]
    assert steps == sorted(set(steps))
    assert (steps[0], steps[-1]) == (0, 40)
    for snapshot in snapshots:
        [(grids, features)] = snapshot.warps
        assert snapshot.images.shape == (IMAGES, 18, 18, 1)
        assert grids.shape == (IMAGES, 8, 8, 2)
        assert features.shape == (IMAGES, 8, 8, 1)


def test_a_run_without_a_transformer_has_none(tmp_path: Path) -> None:
    assert load_snapshots(tmp_path) == []
    assert pick_moments([]) == []


def test_moments_are_evenly_chosen_with_both_ends() -> None:
    for count in (1, 3, MOMENTS, 16):
        snapshots = [Snapshot(step, np.zeros(0), []) for step in range(count)]
        steps = [moment.step for moment in pick_moments(snapshots)]
        assert len(steps) == min(count, MOMENTS)
        assert (steps[0], steps[-1]) == (0, count - 1)
        assert steps == sorted(set(steps))
