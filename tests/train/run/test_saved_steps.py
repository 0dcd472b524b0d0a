"""Saved states: complete or not there, in the background, at most so many."""

import json
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from train.run import saved_steps
from train.run.checksums import write_checksums
from train.run.saved_steps import HOST, SavedSteps, describe_arrays, explain

STATE: dict[str, Any] = {
    "x": np.arange(6, dtype=np.float32).reshape(2, 3),
    "n": (np.int32(4), None),
}

pytestmark = pytest.mark.usefixtures("plain_numerics")


def _state(number: int = 0) -> Any:
    return jax.tree.map(lambda x: jnp.asarray(x) + x.dtype.type(number), STATE)


def _abstract() -> Any:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), _state()
    )


def test_the_newest_are_kept_and_read_back(tmp_path: Path) -> None:
    saved = SavedSteps(tmp_path / "last", keep=2)
    for step in (8, 9, 10):
        saved.save(_state(step), step, {"seconds": step})
    assert saved.finish() is None
    assert saved.steps() == [9, 10]
    assert saved.find_fault(10, _abstract()) is None
    assert saved.read_host(10)["seconds"] == 10
    loaded = saved.load(10, _abstract())
    np.testing.assert_array_equal(loaded["x"], STATE["x"] + 10)
    assert int(loaded["n"][0]) == 14
    saved.close()


def test_a_state_has_its_name_only_when_it_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, go_on = write_checksums, threading.Event()

    def wait_and_write(folder: Path) -> None:
        assert go_on.wait(60)
        write(folder)

    monkeypatch.setattr(saved_steps, "write_checksums", wait_and_write)
    saved = SavedSteps(tmp_path, keep=3)
    saved.save(_state(), 5, {})  # returns although nothing is complete
    while not (tmp_path / "5.unfinished" / HOST).exists():
        time.sleep(0.01)
    assert saved.steps() == []
    go_on.set()
    assert saved.finish() is None
    assert saved.steps() == [5]
    saved.close()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    for name in ("7.unfinished", "8.unfinished.orbax-checkpoint-tmp", "notes"):
        (tmp_path / name).mkdir()
    SavedSteps(tmp_path, keep=3, read_only=True).close()
    assert len(list(tmp_path.iterdir())) == 3
    saved = SavedSteps(tmp_path, keep=3)
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]
    assert saved.steps() == []
    saved.close()


def test_a_failed_save_leaves_the_one_before_and_what_is_held_is_saved_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last, best = (SavedSteps(tmp_path / name, keep=1) for name in ("last", "best"))
    best.save(_state(), 4, {})
    assert best.finish() is None
    with monkeypatch.context() as patch:
        write = write_checksums
        patch.setattr(saved_steps, "write_checksums", partial(_write_or_fail, write, best.folder))
        best.save(_state(1), 5, {}, hold=True)
        last.save(_state(), 5, {}, after=best)  # its own is written, but for the best
        assert last.finish()
        assert best.saving
        assert best.saving[1].exception()
    assert (best.steps(), last.steps()) == ([4], [])
    said = capsys.readouterr().out
    assert "the best checkpoint, of step 5, cannot be saved (no room); that of step 4" in said
    assert "the last checkpoint, of step 5, cannot be saved (nor can the best, of" in said
    best.retry(5)  # only what was begun before
    assert best.steps() == [4]
    best.retry(6)
    assert best.finish() is None
    assert best.steps() == [5]
    np.testing.assert_array_equal(best.load(5, _abstract())["x"], STATE["x"] + 1)
    assert not list(tmp_path.glob("*/*unfinished*"))
    last.close()
    best.close()


def _write_or_fail(write: Callable[[Path], None], full: Path, folder: Path) -> None:
    if folder.parent == full:
        raise OSError(28, "no room")
    write(folder)


def test_another_network_is_named_by_its_first_difference(tmp_path: Path) -> None:
    saved = SavedSteps(tmp_path, keep=1)
    saved.save(_state(), 1, {})
    saved.finish()
    new = jax.ShapeDtypeStruct((2,), np.float32)
    other = _abstract() | {"x": new, "params": {"w": new}}
    fault = saved.find_fault(1, other)
    assert fault
    assert "another network" in fault
    assert "w is missing there and (2,) here" in fault
    path = tmp_path / "1" / HOST
    for text in ("[]", "{}", "[" * 100_000, "\0", json.dumps({"arrays": 3})):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"."):
            saved.read_host(1)
    saved.close()


def test_messages_are_short_and_name_what_matters() -> None:
    assert explain(ValueError("Failed writing /a/b: No space left on device")) == (
        "No space left on device"
    )
    assert explain(PermissionError(13, "Permission denied", "/a")) == "Permission denied"
    assert len(explain(ValueError("x" * 999))) < 310
    assert explain(ValueError()) == "ValueError"
    assert describe_arrays(STATE) == {"x": "(2, 3)", "n.0": "() int32"}
