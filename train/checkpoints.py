"""Checkpoints: the last state and, where there are validation images, the best; safe from SIGKILL.

Orbax writes in the background to a temporary directory and renames it when it is whole. The state
holds everything that the next step depends on, so a run goes on bit for bit as if never stopped.
"""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.errors import UserError
from train.step import TrainState

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every save


class Ledger(NamedTuple):
    """What the host has to remember beside the state.

    Attributes:
        metrics_bytes: length of ``metrics.jsonl``; what follows is written again after resuming.
        seconds: time the run has taken, over all its interruptions.
        train_seconds: of which in training steps, without compiling.
        train_examples: images seen in those.
        best_error: lowest validation error so far, percent; None before the first.
        best_step: its step.
    """

    metrics_bytes: int = 0
    seconds: float = 0.0
    train_seconds: float = 0.0
    train_examples: int = 0
    best_error: float | None = None
    best_step: int | None = None


class Checkpoints:
    """The checkpoints of a run: ``last``, and ``best`` once there was a validation.

    Args:
        directory: where they are.
        read_only: open what is there, and change nothing.
    """

    def __init__(self, directory: Path, *, read_only: bool = False):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else 1,
            create=not read_only,
            read_only=read_only,
            cleanup_tmp_directories=not read_only,
        )
        names = [name for name in ("last", "best") if not read_only or (directory / name).is_dir()]
        self.managers = {
            name: ocp.CheckpointManager((directory / name).absolute(), options=options)
            for name in names
        }

    def step(self, which: str = "last") -> int | None:
        """Returns the step of a checkpoint, or None if there is none."""
        return self.managers[which].latest_step() if which in self.managers else None

    def save(self, which: str, state: TrainState, step: int, ledger: Ledger) -> None:
        """Saves in the background; returns once the state's memory may be used again."""
        self.managers[which].save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(state), ledger=ocp.args.JsonSave(ledger._asdict())
            ),
        )

    def restore(self, which: str, like: TrainState, mesh: Mesh) -> tuple[TrainState, Ledger]:
        """Loads a checkpoint.

        Args:
            which: ``last`` or ``best``.
            like: a state of `jax.ShapeDtypeStruct`, with the shapes and dtypes that were saved.
            mesh: the devices; each gets a copy.

        Returns:
            The state and what belongs to it.

        Raises:
            UserError: if there is none.
        """
        step = self.step(which)
        if step is None:
            raise UserError("the work directory holds no checkpoint yet; train first.")
        everywhere = NamedSharding(mesh, PartitionSpec())
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=everywhere), like
        )
        loaded: Any = self.managers[which].restore(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardRestore(abstract), ledger=ocp.args.JsonRestore()
            ),
        )
        return loaded.state, Ledger(**loaded.ledger)

    def forget_best_after(self, step: int) -> None:
        """Deletes a best checkpoint that is later than the step from which a run goes on.

        The run comes past it again, and then decides again.
        """
        best = self.step("best")
        if best is not None and best > step:
            self.managers["best"].delete(best)

    def wait(self) -> None:
        """Waits for the saves in the background."""
        for manager in self.managers.values():
            manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and lets go."""
        self.wait()
        for manager in self.managers.values():
            manager.close()
