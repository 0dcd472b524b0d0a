"""Training states in one folder, by step: written in the background, verified when they are read.

``folder/300`` is the state of step 300 as Orbax writes it, with ``host.json`` and ``SHA256SUMS``
beside Orbax's files. It is written as ``300.unfinished`` and renamed when all of it is on the disk,
so a save that is cut short at any moment leaves nothing that could be taken for a checkpoint.
"""

import contextlib
import json
import os
import re
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from train.run import orbax_threads
from train.run.checksums import LARGEST, find_damage, write_checksums
from train.run.distributed import succeeded_on_all
from train.run.log import NO_ROOM
from train.run.progress import log

orbax_threads.silence()

HOST = "host.json"
"""File with what is kept on the host, and the shape of every array of the state."""

UNFINISHED = ".unfinished"

Saving = tuple[int, Future[None]]
"""A step, and the end of its save."""


class SavedSteps:
    """The states in a folder; one is being saved at a time.

    Every method but `steps`, `find_fault` and `read_host` must be called by all processes of a run.

    Args:
        folder: the folder; its name distinguishes saves that run at the same time.
        keep: number of states to keep; older ones are deleted when a newer one is complete.
        read_only: change nothing.
    """

    def __init__(self, folder: Path, keep: int, *, read_only: bool = False):
        self.folder, self.keep = folder, keep
        self.link, self.orbax_folder = _without_wildcards(folder.absolute())
        options = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=folder.name)
        self.checkpointer = ocp.StandardCheckpointer(multiprocessing_options=options)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"save-{folder.name}")
        self.saving: Saving | None = None
        self.held: tuple[Any, int, dict[str, Any]] | None = None
        if not read_only:
            folder.mkdir(parents=True, exist_ok=True)
            self._delete_unfinished()

    def steps(self) -> list[int]:
        """Returns the steps of the complete states, in order."""
        names = [path.name for path in self.folder.glob("*")]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal())

    def save(
        self,
        state: Any,
        step: int,
        host: dict[str, Any],
        *,
        failure: Exception | None = None,
        after: "SavedSteps | None" = None,
        hold: bool = False,
    ) -> None:
        """Starts saving; returns as soon as the state may be donated.

        A save that is still running is waited for first.

        Args:
            state: a tree of arrays.
            step: its step.
            host: what else to save, as JSON has it.
            failure: an error of this process, with which the save fails.
            after: where a save may be running; if it fails, so does this one.
            hold: keep a copy of the state on the devices until it is saved, for `retry`.
        """
        self.finish()
        if hold:
            self.held = jax.tree.map(jnp.copy, state), step, host
        before = after.saving if after is not None else None
        unfinished = self.folder / f"{step}{UNFINISHED}"
        target = self.orbax_folder / unfinished.name
        try:
            self.checkpointer.save(target, state, force=True)
        except Exception as error:  # the disk is full already
            failure = error
        arrays = {"arrays": describe_arrays(state)}
        future = self.thread.submit(
            self._complete, unfinished, step, host | arrays, failure, before
        )
        self.saving = step, future

    def finish(self) -> str | None:
        """Waits for the save that is running, and returns why it failed, or None."""
        if self.saving is None:
            return None
        (step, future), self.saving = self.saving, None
        error = future.exception()
        if succeeded_on_all(error is None):
            self.held = None
            return None
        self._delete_unfinished()
        if error is None:
            error = RuntimeError("another process failed")
            self._log_failure(step, error)
        return explain(error)

    def retry(self, step: int) -> None:
        """Saves once more what `save` holds, if that was begun before ``step`` and has failed."""
        if self.held is not None and self.held[1] < step and self.finish() is not None:
            self.save(*self.held, hold=True)

    def find_fault(self, step: int, abstract: Any) -> str | None:
        """Returns why a saved state cannot be used, or None if it can.

        Args:
            step: its step.
            abstract: the state that is wanted, as `jax.ShapeDtypeStruct`.

        Raises:
            OSError: if a file that is there cannot be read.
        """
        damage = find_damage(self.folder / str(step))
        if damage is not None:
            return f"is damaged ({damage})"
        try:
            saved = self.read_host(step)["arrays"]
        except ValueError as error:
            return f"is of another version of the code ({explain(error)})"
        wanted = describe_arrays(abstract)
        differing = [name for name in saved | wanted if saved.get(name) != wanted.get(name)]
        if not differing:
            return None
        name = min(differing, key=lambda name: (not name.startswith("params."), name))
        return (
            "is of another network, or of another version of the code: "
            f"{name.removeprefix('params.')} is {saved.get(name, 'missing')} there and "
            f"{wanted.get(name, 'missing')} here"
        )

    def read_host(self, step: int) -> dict[str, Any]:
        """Returns what was saved beside a state.

        Raises:
            ValueError: if the file is not what was written.
        """
        path = self.folder / str(step) / HOST
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{HOST} is too large")
        try:
            host = json.loads(path.read_text(encoding="utf-8"))
        except RecursionError as error:
            raise ValueError(f"{HOST} is nested too deep") from error
        if not isinstance(host, dict) or not isinstance(host.get("arrays"), dict):
            raise ValueError(f"{HOST} lists no arrays")
        return host

    def load(self, step: int, abstract: Any) -> Any:
        """Returns a saved state; whatever Orbax raises for a bad one is passed on."""
        return self.checkpointer.restore(self.orbax_folder / str(step), abstract)

    def delete(self, steps: list[int]) -> None:
        """Deletes saved states; process 0 does it."""
        for step in steps if jax.process_index() == 0 else ():
            shutil.rmtree(self.folder / str(step), ignore_errors=True)

    def close(self) -> None:
        """Waits for the save that is running, without asking other processes how theirs went."""
        self.thread.shutdown()
        if self.saving is not None and self.saving[1].exception() is not None:
            self._delete_unfinished()
        with contextlib.suppress(Exception):
            self.checkpointer.close()
        if self.link is not None:
            self.link.cleanup()

    def _complete(
        self,
        unfinished: Path,
        step: int,
        host: dict[str, Any],
        failure: Exception | None,
        before: Saving | None,
    ) -> None:
        """Waits until Orbax has written, adds the sums and gives the state its name."""
        try:
            self.checkpointer.wait_until_finished()  # on all processes
            if before is not None and before[1].exception() is not None:
                failure = failure or RuntimeError(f"nor can the best, of step {before[0]:,}")
            if failure is not None:
                raise failure
            if jax.process_index():
                return
            (unfinished / HOST).write_text(json.dumps(host), encoding="utf-8")
            write_checksums(unfinished)
            final = self.folder / str(step)
            if final.exists():
                shutil.rmtree(final)
            unfinished.rename(final)
            _sync(self.folder)
            if jax.process_count() == 1:  # else it is not known yet how the others fared
                self.held = None
            self.delete(self.steps()[: -self.keep])
        except Exception as error:
            self._log_failure(step, error)
            raise

    def _log_failure(self, step: int, error: BaseException) -> None:
        steps = [saved for saved in self.steps() if saved < step]
        stands = f"that of step {steps[-1]:,} stands" if steps else "there is no earlier one"
        log(
            f"the {self.folder.name} checkpoint, of step {step:,}, cannot be saved "
            f"({explain(error)}); {stands}, and the run goes on"
        )

    def _delete_unfinished(self) -> None:
        for path in self.folder.glob(f"*{UNFINISHED}*") if jax.process_index() == 0 else ():
            shutil.rmtree(path, ignore_errors=True)


def describe_arrays(tree: Any) -> dict[str, str]:
    """Returns the shape of every array of a tree by its name, such as ``params.bias``.

    Followed by the dtype, where it is not float32.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(
            path, simple=True, separator="."
        ): f"{tuple(leaf.shape)}{'' if leaf.dtype == np.float32 else f' {leaf.dtype}'}"
        for path, leaf in leaves
    }


def explain(error: BaseException) -> str:
    """Returns the message of an exception in one line of at most 300 characters."""
    text = " ".join(str(error).split()) or type(error).__name__
    for reason in (*map(os.strerror, NO_ROOM), getattr(error, "strerror", None)):
        if reason and reason in text:  # without names of files that only Orbax knows
            return reason
    return text if len(text) <= 300 else f"{text[:150]} ... {text[-150:]}"


def _without_wildcards(folder: Path) -> tuple[tempfile.TemporaryDirectory[str] | None, Path]:
    """Returns a path to a folder that Orbax can use, and the temporary folder that it needs.

    Orbax takes brackets, stars and question marks in a path for patterns, and then finds nothing.
    """
    if not re.search(r"[\[\]*?]", str(folder)):
        return None, folder
    temporary = tempfile.TemporaryDirectory(prefix="checkpoints-")
    link = Path(temporary.name) / "link"
    link.symlink_to(folder, target_is_directory=True)
    return temporary, link


def _sync(folder: Path) -> None:
    """Writes the names in a folder through to the disk, where the file system can."""
    with contextlib.suppress(OSError):
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
