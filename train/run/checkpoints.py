"""Checkpoints: the last three states, by default, and with validation images the best one.

A checkpoint contains everything that the next step depends on, so a resumed run equals an
uninterrupted one bit for bit. Each has SHA-256 sums of its files, which are verified before
anything is read: a run resumes from the newest checkpoint that is whole and of this network. In a
run of several processes, process 0 chooses and all restore the same.
"""

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from train.errors import TrainingError, UserError
from train.run.distributed import on_first
from train.run.progress import log
from train.run.saved_steps import HOST, SavedSteps, explain
from train.step.state import TrainState

Faults = list[tuple[int, str]]
"""Steps of checkpoints that cannot be used, and why."""


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
    """The checkpoints of a run, in ``last/STEP`` and, after the first validation, ``best/STEP``.

    All processes of a run must call every method.

    Args:
        directory: directory of the checkpoints.
        keep: number of last checkpoints to keep.
        read_only: open existing checkpoints without changing anything.
    """

    def __init__(self, directory: Path, keep: int = 3, *, read_only: bool = False):
        self.saved = {
            "last": SavedSteps(directory / "last", keep, read_only=read_only),
            "best": SavedSteps(directory / "best", 1, read_only=read_only),
        }

    def step(self, which: str = "last") -> int | None:
        """Returns the step of the newest checkpoint, or None; a running save is waited for."""
        self.saved[which].finish()
        return on_first(lambda: max(self.saved[which].steps(), default=None))

    def save(
        self,
        which: str,
        state: TrainState,
        step: int,
        host_state: HostState,
        *,
        failure: OSError | None = None,
    ) -> None:
        """Starts saving in the background; returns as soon as the state may be donated.

        A save that fails is said in a line, and the checkpoints before it stand. A best state is
        held until it is saved, and no last one is complete before: so every last checkpoint that a
        run may resume from has its best.

        Args:
            which: ``last`` or ``best``.
            state: the training state.
            step: its step.
            host_state: the host's.
            failure: why this process could not write what belongs to the checkpoint; it then fails.
        """
        best = self.saved["best"]
        if which == "best":
            best.save(state, step, host_state._asdict(), hold=True)
        else:
            best.retry(step)
            self.saved[which].save(state, step, host_state._asdict(), failure=failure, after=best)

    def resume(self, abstract_state: TrainState, mesh: Mesh) -> tuple[TrainState, HostState] | None:
        """Loads the newest last checkpoint that can be used, and deletes all later ones.

        Each that cannot is named in a line.

        Args:
            abstract_state: the state as `jax.ShapeDtypeStruct`, with the saved shapes and dtypes.
            mesh: the devices; the state is replicated over them.

        Returns:
            The training state and the host's; None if there is no checkpoint at all.

        Raises:
            UserError: if there are checkpoints and none can be used.
        """
        last, best = self.saved["last"], self.saved["best"]
        abstract = _with_shardings(abstract_state, mesh)
        chosen = self._load_newest(abstract)
        step = 0 if chosen is None else int(chosen[0].step)
        for saved in (last, best):
            saved.delete([later for later in saved.steps() if later > step])
        if chosen is None:
            return None
        for number, fault in on_first(lambda: _find_faults(best, abstract)):
            log(f"the best checkpoint, of step {number:,}, {fault}; choosing anew from here on")
            best.delete([number])
        value, best_step = on_first(partial(_read_best, best))
        return chosen[0], chosen[1]._replace(best_value=value, best_step=best_step)

    def restore(
        self, which: str, abstract_state: TrainState, mesh: Mesh
    ) -> tuple[TrainState, HostState]:
        """Loads the newest checkpoint.

        Args:
            which: ``last`` or ``best``.
            abstract_state: as in `resume`.
            mesh: as in `resume`.

        Returns:
            The training state and the host's.

        Raises:
            UserError: if there is none, or it cannot be used. No other is taken: a number that is
                reported must be of the network that it is said to be of.
        """
        saved, abstract = self.saved[which], _with_shardings(abstract_state, mesh)
        step = self.step(which)
        if step is None:
            raise UserError("the work directory holds no checkpoint yet; train first.")
        fault = on_first(partial(_find_fault, saved, step, abstract))
        if fault is None:
            try:
                return saved.load(step, abstract), _read_host_state(saved, step)
            except Exception as error:
                fault = f"cannot be read ({explain(error)})"
        path = saved.folder / str(step)
        raise UserError(f"the checkpoint {path} {fault}; {_remedy(saved, step, fault)}")

    def restore_best(self, abstract_state: TrainState, mesh: Mesh) -> TrainState | None:
        """Loads the best checkpoint; where it cannot be used, says so, deletes it, returns None."""
        step = self.step("best")
        if step is None:
            log("no checkpoint of the best step could be saved; testing the last step")
            return None
        try:
            return self.restore("best", abstract_state, mesh)[0]
        except UserError as error:
            log(f"{str(error).partition('; ')[0]}; testing the last step")
            self.saved["best"].delete([step])
            return None

    def wait(self) -> None:
        """Waits until all background saves have finished.

        Raises:
            TrainingError: if the last checkpoint is not saved.
        """
        self.saved["best"].finish()
        error = self.saved["last"].finish()
        if error is not None:
            raise TrainingError(
                f"the checkpoint in {self.saved['last'].folder} cannot be saved ({error}). If the "
                "disk is full, make room; the same command resumes from the one before."
            )

    def close(self) -> None:
        """Waits for background saves and ends their threads."""
        for saved in self.saved.values():
            saved.close()

    def _load_newest(self, abstract: Any) -> tuple[TrainState, HostState] | None:
        """Loads the newest last checkpoint without a fault, naming newer ones in a line each."""
        last, faults = self.saved["last"], Faults()
        while chosen := on_first(partial(_choose, last, abstract, faults)):
            step, found = chosen
            try:
                state, host_state = last.load(step, abstract), _read_host_state(last, step)
            except Exception as error:  # Orbax raises anything, although its files have not changed
                faults = [*found, (step, f"cannot be read ({explain(error)})")]
                if jax.process_count() > 1:  # the others may be waiting inside Orbax
                    raise UserError(f"{last.folder / str(step)} {faults[-1][1]}.") from error
                continue
            for number, fault in found:
                log(f"the checkpoint of step {number:,} {fault}; taking that of step {step:,}")
            return state, host_state
        return None


def _choose(saved: SavedSteps, abstract: Any, faults: Faults) -> tuple[int, Faults] | None:
    """Returns the newest good step and the faults of newer ones; None if there are no checkpoints.

    Args:
        saved: the checkpoints.
        abstract: the state that is wanted.
        faults: those that are known already.

    Raises:
        UserError: if all have faults.
    """
    known, found = dict(faults), Faults()
    for step in reversed(saved.steps()):
        fault = known.get(step) or _find_fault(saved, step, abstract)
        if fault is None:
            return step, found
        found.append((step, fault))
    if not found:
        return None
    listed = "; ".join(f"that of step {step:,} {fault}" for step, fault in found)
    raise UserError(
        f"no checkpoint in {saved.folder} can be used: {listed}. Restore one from a copy, or the "
        "code that trained it, or train again in another --workdir."
    )


def _read_best(best: SavedSteps) -> tuple[float | None, int | None]:
    """Returns value and step of the best checkpoint.

    None where there is none: a later one had taken its place, which the run will reach again.
    """
    steps = best.steps()
    host_state = _read_host_state(best, steps[-1]) if steps else HostState()
    return host_state.best_value, host_state.best_step


def _find_faults(saved: SavedSteps, abstract: Any) -> Faults:
    found = [(step, _find_fault(saved, step, abstract)) for step in saved.steps()]
    return [(step, fault) for step, fault in found if fault is not None]


def _find_fault(saved: SavedSteps, step: int, abstract: Any) -> str | None:
    """Returns the fault of a checkpoint, or None.

    Raises:
        UserError: if the disk cannot be read, which is no fault of the checkpoint.
    """
    try:
        fault = saved.find_fault(step, abstract)
        if fault is None:
            _read_host_state(saved, step)
        return fault
    except OSError as error:
        raise UserError(f"{saved.folder / str(step)} cannot be read ({explain(error)}).") from error
    except ValueError as error:
        return f"is of another version of the code ({explain(error)})"


def _read_host_state(saved: SavedSteps, step: int) -> HostState:
    """Returns the host state of a checkpoint.

    Raises:
        ValueError: if it is not one.
    """
    host = saved.read_host(step)
    host.pop("arrays")
    if set(host) != set(HostState._fields):
        raise ValueError(f"{HOST} has {', '.join(host)}")
    for name, value in host.items():
        default = getattr(HostState(), name)
        number = isinstance(value, int | float if "seconds" in name else int) and value >= 0
        optional = default is None and (value is None or isinstance(value, float))
        if not (number or optional):
            raise ValueError(f"{HOST} has {name}={value!r}")
    return HostState(**host)


def _remedy(saved: SavedSteps, step: int, fault: str) -> str:
    """Returns what to do where a checkpoint cannot be used and no other may be taken silently."""
    if "another" in fault:
        return "restore the code that trained it, or train again in another --workdir."
    others = [other for other in saved.steps() if other != step]
    take = f"delete it to take that of step {others[-1]:,}" if others else "delete it"
    if saved.folder.name == "best":
        take = f"delete {saved.folder} to take the last one"
    return f"restore it from a copy, or {take}."


def _with_shardings(abstract_state: TrainState, mesh: Mesh) -> Any:
    """Returns the abstract state with the shardings that it has, or else replicated."""
    replicated = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or replicated),
        abstract_state,
    )
