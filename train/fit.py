"""The training run as one flat loop: what happens, and in which order."""

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np

import train.evaluation.figures as figures
from train.config.config import Config
from train.config.serialize import flatten, to_dict, user_sources
from train.errors import TrainingError
from train.evaluation.evaluator import Evaluator
from train.evaluation.snapshots import save_snapshot
from train.evaluation.warm_start import start_from
from train.experiment import Experiment
from train.run.checkpoints import Checkpoints, HostState
from train.run.devices import describe_devices, describe_hardware, replicate, tune_malloc
from train.run.distributed import check_same, check_shared, on_first
from train.run.interrupt import Interrupt
from train.run.json_files import write_json
from train.run.lock import RunLock
from train.run.log import MetricsWriter
from train.run.progress import ProgressBar, log, show_table
from train.run.revision import checksums, git_revision
from train.run.workdir import (
    CONFIG,
    SUMMARY,
    check_finished,
    make_workdir,
    read_summary,
    to_json,
    write_metadata,
)
from train.step.state import TrainState, non_finite_names

SNAPSHOT_FRACTIONS = np.geomspace(0.01, 1, 16).tolist()
"""Fractions of the run at which a snapshot is taken, besides step 0: often while much changes."""


def fit(
    config: Config,
    workdir: Path,
    sources: Mapping[str, str] | None = None,
    *,
    name: str | None = None,
    command: str | None = None,
) -> int:
    """Trains and evaluates a network, or resumes an interrupted run; the verb ``fit``.

    Args:
        config: what to train.
        workdir: work directory for everything that the run writes.
        sources: the config file and the modules beside it, by file name; None is those in which
            classes of the config stand.
        name: name of the config, by which `train.evaluation.report` finds its place in a table.
        command: the command that trains this network, for the summary.

    Returns:
        The exit code.

    Raises:
        UserError: for a mistake that the user can correct; raised before training.
        TrainingError: if a loss, gradient or update is not finite.
    """
    tune_malloc()
    sources = user_sources(config) if sources is None else sources
    revision = git_revision()  # before training: a checkout may change while this code runs
    check_same("another config", lambda: flatten(to_dict(config)))
    check_same("other code", lambda: {"revision": revision, **checksums(sources)})
    summary = on_first(lambda: read_summary(workdir, config))
    if summary is None:
        with ExitStack() as stack:

            def take_workdir() -> dict[str, Any] | None:
                make_workdir(workdir)
                stack.enter_context(RunLock(workdir))
                return read_summary(workdir, config)  # another run may have finished it meanwhile

            summary = on_first(take_workdir)
            if summary is None:
                launch = {"config": name, "command": command, "git_revision": revision}
                return _fit(config, workdir, sources, launch)
    on_first(lambda: check_finished(workdir, config))
    log(f"{workdir} is finished: {summary['result']}; nothing to do")
    return 0


def _fit(
    config: Config, workdir: Path, sources: Mapping[str, str], launch: Mapping[str, str | None]
) -> int:
    started_at = time.perf_counter()
    run, steps = config.train, config.train.steps

    # ---- Experiment ------------------------------------------------------------------------------
    experiment = Experiment.from_config(config)
    task, mesh, batches = experiment.task, experiment.mesh, experiment.batches
    data, evaluator = experiment.arrays("train"), Evaluator(experiment)
    schedule = jax.jit(experiment.schedule)
    check_same("other data", lambda: to_json(experiment.spec))
    on_first(lambda: write_metadata(workdir, config, experiment.spec, sources, experiment.data))
    check_shared(workdir / CONFIG, f"--workdir {workdir}")
    for line in experiment.describe():
        log(line)

    # ---- Initial or restored state ---------------------------------------------------------------
    checkpoints = Checkpoints(workdir / "checkpoints", run.keep_checkpoints)
    validates = "valid" in evaluator.arrays
    restored = checkpoints.resume(experiment.abstract_state, mesh)
    if restored is None:
        state, host_state = experiment.init(), HostState()
        if run.start_from is not None:
            state = start_from(state, run.start_from)
    else:
        state, host_state = restored
        log(f"resuming from step {int(state.step):,}")
    step = int(state.step)
    zeros = {name: np.zeros((), np.float32) for name in state.totals}
    metrics = MetricsWriter(workdir, size=host_state.metrics_bytes, step=step)

    # ---- Loop ------------------------------------------------------------------------------------
    snapshot_steps = {
        round(fraction * steps / run.log_every) * run.log_every for fraction in SNAPSHOT_FRACTIONS
    } | {steps}
    if step == 0:
        save_snapshot(workdir, evaluator, replicate(state.eval_params, mesh), 0)

    logged = step // run.log_every * run.log_every
    warm = warned = False
    before = time.perf_counter()
    interrupt, bar = Interrupt(jax.process_count()), ProgressBar(step, steps, task.metrics)
    with closing(checkpoints), closing(metrics), bar, interrupt:
        while step < steps:
            # Dispatch steps until the next log entry, evaluation or checkpoint.
            stop = min(
                steps,
                *(
                    (step // period + 1) * period
                    for period in (run.log_every, run.eval_every, run.checkpoint_every)
                ),
            )
            first = step
            with jax.transfer_guard("disallow"):  # nothing but the batch is sent to the device
                while step < stop:
                    count = min(experiment.steps_per_dispatch, stop - step)
                    batch = batches(step, count)
                    if batch.rows is not None:  # at most two batches of rows on the devices
                        jax.block_until_ready(state.step)
                    state = experiment.train_step(state, data, batch)
                    step += count
                    if not warm:  # do not count compilation
                        jax.block_until_ready(state)
                        warm, first, before = True, step, time.perf_counter()
                    if interrupt.poll():
                        break
            _stop_if_non_finite(state, checkpoints)
            now = time.perf_counter()
            host_state = host_state._replace(
                train_seconds=host_state.train_seconds + now - before,
                train_examples=host_state.train_examples + (step - first) * run.batch_size,
            )
            speed = (step - first) * run.batch_size / (now - before)

            # Log.
            if step % run.log_every == 0 or step == steps:
                totals = jax.device_get(state.totals)
                numbers = task.scale({name: x / (step - logged) for name, x in totals.items()})
                numbers["learning_rate"] = float(schedule(step - 1))
                metrics.write(step, "train", numbers, {"examples_per_second": speed})
                bar.show_training(step, numbers, speed)
                warned = warned or _warn_without_gradient(step, numbers)
                state = state._replace(totals=replicate(zeros, mesh))
                logged = step

            # Evaluate. Validation examples choose the best checkpoint; test examples never do.
            if validates and (step % run.eval_every == 0 or step == steps):
                params = replicate(state.eval_params, mesh)
                evaluated = evaluator.evaluate(params, "valid", run.eval_batch_size)
                numbers = evaluator.summarize(evaluated)
                metrics.write(step, "valid", numbers)
                bar.show_evaluation(step, "valid", numbers)
                best, value = host_state.best_value, numbers[task.monitor]
                if best is None or value < best:
                    host_state = host_state._replace(best_value=value, best_step=step)
                    checkpoints.save("best", state, step, host_state)
            if step in snapshot_steps:
                params = replicate(state.eval_params, mesh)
                save_snapshot(workdir, evaluator, params, step)

            # Save; where a signal has come, at once.
            stopping = interrupt.requested
            if step % run.checkpoint_every == 0 or step == steps or stopping:
                now = time.perf_counter()
                size, no_room = metrics.flush()
                host_state = host_state._replace(
                    metrics_bytes=size, seconds=host_state.seconds + now - started_at
                )
                started_at = now
                checkpoints.save("last", state, step, host_state, failure=no_room)
            if stopping:
                checkpoints.wait()
                interrupt.stop()
            before = time.perf_counter()

        # Test once, with the parameters that validation chose, or without validation the last.
        checkpoints.wait()
        if validates:
            state = checkpoints.restore_best(experiment.abstract_state, mesh) or state
        split = evaluator.final_split
        params = replicate(state.eval_params, mesh)
        evaluated = evaluator.evaluate(params, split, run.eval_batch_size)
        numbers = evaluator.summarize(evaluated)
        if split == "test":
            metrics.write(steps, split, numbers)
        _, no_room = metrics.flush()
        if no_room is not None:
            raise no_room

    # ---- Result ----------------------------------------------------------------------------------
    seconds = host_state.seconds + time.perf_counter() - started_at
    rate = host_state.train_examples / max(host_state.train_seconds, 1e-9)
    numbers = {f"{split}_{name}": float(f"{x:.7g}") for name, x in numbers.items()}
    result = f"{split} {task.monitor} {task.headline(evaluated.metrics)}"
    write_json(
        workdir / SUMMARY,
        {
            "result": result,
            f"valid_{task.monitor}": host_state.best_value,
            **numbers,
            **task.report(evaluated),
            "best_step": host_state.best_step,
            "steps": steps,
            "seconds": round(seconds, 2),
            "examples_per_second": round(rate, 1),
            "parameters": experiment.parameters,
            "seed": run.seed,
            **launch,
            "date": datetime.now(UTC).date().isoformat(),
            "devices": describe_devices(),
            "hardware": describe_hardware(),
            "jax_version": jax.__version__,
        },
    )
    if jax.process_index():
        return 0
    drawn = figures.draw_figures(workdir, evaluator, params, evaluated, split)
    for failure in drawn.failures:
        log(failure)
    show_table(
        {
            "result": result,
            "speed": f"{rate:,.0f} examples/s",
            "time": f"{seconds:,.0f} s",
            "picture": drawn.picture or "none",
        }
    )
    return 0


def _stop_if_non_finite(state: TrainState, checkpoints: Checkpoints) -> None:
    """Raises if a number was not finite, before it is logged, evaluated or saved."""
    step, flags = jax.device_get(state.non_finite)
    if step < 0:
        return
    names = non_finite_names(state.params)
    found = [name for name, flag in zip(names, flags, strict=True) if flag]
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    saved = checkpoints.step()
    kept = "no checkpoint was saved" if saved is None else f"the last checkpoint is of step {saved}"
    raise TrainingError(
        f"step {int(step)}: not finite: {', '.join(found[:3])}{more}; {kept}. Try a lower "
        "--optim.learning-rate, --optim.clip-norm 1 or a lower --optim.localization-rate, in "
        "another --workdir."
    )


def _warn_without_gradient(step: int, numbers: Mapping[str, float]) -> bool:
    """Warns, and returns True, if the localization network has had no gradient since the last line.

    Samples outside an image that is padded with zeros have none; training goes on, but without a
    transformer.
    """
    if numbers.get("localization_grad_norm") != 0:
        return False
    outside = numbers.get("outside")
    where = "" if outside is None else f", and {outside:.1%} of the samples are outside"
    log(
        f"step {step:,}: the localization network has no gradient any more{where}. In another "
        "--workdir, a lower --optim.localization-rate or --task.outside-penalty 1 keeps the "
        "transformer's windows inside the image."
    )
    return True
