"""Checkpoints of the last state and, with validation images, of the best one.

Orbax writes in the background to a temporary directory and renames it when complete, so a SIGKILL
never leaves a broken checkpoint. The state contains everything that the next step depends on, so a
resumed run equals an uninterrupted one bit for bit.
"""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.errors import TrainingError, UserError
from train.run import orbax_threads
from train.step.state import TrainState

orbax_threads.silence()


class HostState(NamedTuple):
    """What is saved with the training state but kept on the host.

    Attributes:
        metrics_bytes: size of ``metrics.jsonl``; later lines are written again after resuming.
        seconds: total time of the run, interruptions excluded.
        train_seconds: time spent in training steps, compilation excluded.
        train_examples: number of images processed in that time.
        best_value: lowest validation metric so far; None before the first evaluation.
        best_step: the step of ``best_value``.
    """

    metrics_bytes: int = 0
    seconds: float = 0.0
    train_seconds: float = 0.0
    train_examples: int = 0
    best_value: float | None = None
    best_step: int | None = None


class Checkpoints:
    """The checkpoints of a run: ``last``, and ``best`` after the first validation.

    Args:
        directory: directory of the checkpoints.
        read_only: open existing checkpoints without changing anything.
    """

    def __init__(self, directory: Path, *, read_only: bool = False):
        options = {
            name: ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else 1,
                create=not read_only,
                read_only=read_only,
                cleanup_tmp_directories=not read_only,
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    barrier_sync_key_prefix=name  # both may be saving at once
                ),
            )
            for name in ("last", "best")
        }
        handlers = {"state": ocp.StandardCheckpointHandler()}
        handlers |= {"host_state": ocp.JsonCheckpointHandler()}
        names = [name for name in ("last", "best") if not read_only or (directory / name).is_dir()]
        self.directory = directory
        self.link, folder = _without_wildcards(directory.absolute())
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        self.managers = {
            name: ocp.CheckpointManager(
                folder / name, options=options[name], item_handlers=handlers
            )
            for name in names
        }

    def step(self, which: str = "last") -> int | None:
        """Returns the step of a checkpoint, or None if there is none."""
        return self.managers[which].latest_step() if which in self.managers else None

    def save(self, which: str, state: TrainState, step: int, host_state: HostState) -> None:
        """Starts saving in the background; returns as soon as the state may be donated.

        Raises:
            TrainingError: if this checkpoint, or the one before, cannot be written.
        """
        with self._explain_failed_save():
            self.managers[which].save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(state),
                    host_state=ocp.args.JsonSave(host_state._asdict()),
                ),
            )

    def restore(
        self, which: str, abstract_state: TrainState, mesh: Mesh
    ) -> tuple[TrainState, HostState]:
        """Loads a checkpoint.

        Args:
            which: ``last`` or ``best``.
            abstract_state: the state as `jax.ShapeDtypeStruct`, with the saved shapes and dtypes.
            mesh: the devices; the state is replicated over them.

        Returns:
            The training state and the host's.

        Raises:
            UserError: if there is none, or it does not fit this network or this code.
        """
        step = self.step(which)
        if step is None:
            raise UserError("the work directory holds no checkpoint yet; train first.")
        replicated = NamedSharding(mesh, PartitionSpec())
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or replicated),
            abstract_state,
        )
        path = self.directory / which / str(step)
        try:
            saved = _shapes(self.managers[which].item_metadata(step).state)
            wanted = _shapes(abstract)
            if saved == wanted:
                loaded: Any = self.managers[which].restore(
                    step,
                    args=ocp.args.Composite(
                        state=ocp.args.StandardRestore(abstract), host_state=ocp.args.JsonRestore()
                    ),
                )
                return loaded.state, HostState(**loaded.host_state)
        except Exception as error:  # Orbax raises anything for damaged files
            raise UserError(
                f"the checkpoint {path} cannot be read ({_shorten(error)}); it is damaged or of "
                "another version of the code."
            ) from error
        differing = [name for name in saved | wanted if saved.get(name) != wanted.get(name)]
        name = min(differing, key=lambda name: (not name.startswith("params."), name))
        raise UserError(
            f"the checkpoint {path} is of another network, or of another version of the code: "
            f"{name.removeprefix('params.')} is {saved.get(name, 'missing')} there and "
            f"{wanted.get(name, 'missing')} here; restore the code that trained it, or train again "
            "in another --workdir."
        )

    def delete_best_after(self, step: int) -> None:
        """Deletes a best checkpoint that is later than ``step``, where a run resumes.

        The resumed run evaluates that step again and saves it again if it is still the best.
        """
        best = self.step("best")
        if best is not None and best > step:
            self.managers["best"].delete(best)

    def wait(self) -> None:
        """Waits until all background saves have finished.

        Raises:
            TrainingError: if one failed.
        """
        with self._explain_failed_save():
            for manager in self.managers.values():
                manager.wait_until_finished()

    def close(self) -> None:
        """Waits for background saves and closes the managers."""
        with self._explain_failed_save():
            for manager in self.managers.values():
                manager.close()
        if self.link is not None:
            self.link.cleanup()

    @contextlib.contextmanager
    def _explain_failed_save(self) -> Iterator[None]:
        """Turns any exception of Orbax into one line."""
        try:
            yield
        except Exception as error:
            raise TrainingError(
                f"a checkpoint in {self.directory} cannot be saved ({_shorten(error)}). If the "
                "disk is full, make room; the same command resumes from the last one."
            ) from error


def _without_wildcards(
    directory: Path,
) -> tuple[tempfile.TemporaryDirectory | None, Path]:
    """Returns a path to a directory that Orbax can use, and the temporary folder that it needs.

    Orbax takes brackets, stars and question marks in a path for patterns, and then finds nothing.
    """
    if not re.search(r"[\[\]*?]", str(directory)):
        return None, directory
    folder = tempfile.TemporaryDirectory(prefix="checkpoints-")
    link = Path(folder.name) / "link"
    link.symlink_to(directory, target_is_directory=True)
    return folder, link


def _shapes(tree: Any) -> dict[str, str]:
    """Returns the shape of every array of a tree by its name, such as ``params.bias``.

    Followed by the dtype, where it is not float32.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(getattr(tree, "tree", tree))
    return {
        jax.tree_util.keystr(
            path, simple=True, separator="."
        ): f"{tuple(leaf.shape)}{'' if leaf.dtype == np.float32 else f' {leaf.dtype}'}"
        for path, leaf in leaves
        if hasattr(leaf, "shape")
    }


def _shorten(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:150]} ... {text[-150:]}"
