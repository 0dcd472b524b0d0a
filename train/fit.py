"""The training run as one flat loop: what happens, and in which order."""

import math
import time
from contextlib import closing
from pathlib import Path

import jax
import numpy as np

import train.evaluation.figures as figures
from train.config.parts import Config
from train.data import load
from train.data.batches import Batches, check_batch, steps_per_dispatch
from train.errors import TrainingError
from train.evaluation.evaluator import Evaluator, input_shape, summarize
from train.run.checkpoints import Checkpoints, HostState
from train.run.devices import describe_devices, make_mesh, replicate, tune_malloc
from train.run.interrupt import Interrupt
from train.run.json_files import write_json
from train.run.lock import RunLock
from train.run.log import MetricsWriter
from train.run.progress import ProgressBar, log, show_table
from train.run.revision import git_revision
from train.run.workdir import SUMMARY, check_data, make_workdir, read_summary, write_metadata
from train.step.network import build_network
from train.step.optimizer import make_optimizer, make_schedule
from train.step.step import TrainState, make_init, make_train_step, non_finite_names

SNAPSHOT_FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Fractions of the run at which the filmstrip has an image, besides the first and last step."""


def fit(config: Config, workdir: Path) -> int:
    """Trains and evaluates a network, or resumes an interrupted run; the verb ``fit``.

    Args:
        config: what to train.
        workdir: work directory for everything that the run writes.

    Returns:
        The exit code.

    Raises:
        UserError: for a mistake that the user can correct; raised before training.
        TrainingError: if a loss, gradient or update is not finite.
    """
    tune_malloc()
    summary = read_summary(workdir, config)
    if summary is None:
        make_workdir(workdir)
        with RunLock(workdir):
            summary = read_summary(workdir, config)  # another process may have finished meanwhile
            if summary is None:
                return _fit(config, workdir)
    dataset = load(config.data)
    check_data(workdir, dataset, input_shape(config.data, dataset.image_shape))
    log(f"{workdir} is finished: test error {summary['test_error']:.2f} %; nothing to do")
    return 0


def _fit(config: Config, workdir: Path) -> int:
    started_at = time.perf_counter()
    run, steps = config.train, config.train.steps

    # ---- Data, devices, network ------------------------------------------------------------------
    dataset = load(config.data)
    mesh = make_mesh()
    check_batch(run.batch_size, len(dataset.y_train), mesh.size)
    shape = input_shape(config.data, dataset.image_shape)
    network = build_network(config.model, shape, dataset.num_classes, run.seed)
    optimizer = make_optimizer(config.optim, steps)
    schedule = jax.jit(make_schedule(config.optim, steps))
    write_metadata(workdir, config, dataset, shape)

    batches = Batches(len(dataset.y_train), run.batch_size, run.seed, mesh)
    evaluator = Evaluator(network, config.data, dataset, mesh)
    train_step = make_train_step(network, optimizer, config, mesh)
    init = make_init(network, optimizer, config, mesh)
    abstract_state = jax.eval_shape(init)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), abstract_state.totals)
    parameters = sum(math.prod(value.shape) for value in abstract_state.params.values())
    per_dispatch = steps_per_dispatch(run, jax.default_backend())
    log(
        f"{config.data.distortion}, {shape[1]} x {shape[0]} pixels; {config.model.name}, "
        f"{parameters:,} parameters; {describe_devices()}"
    )

    # ---- Initial or restored state ---------------------------------------------------------------
    checkpoints = Checkpoints(workdir / "checkpoints")
    validates = "valid" in evaluator.data
    host_state = HostState()
    if checkpoints.step() is None:
        state = init()
    else:
        state, host_state = checkpoints.restore("last", abstract_state, mesh)
        log(f"resuming from step {int(state.step):,}")
    step = int(state.step)
    checkpoints.delete_best_after(step)
    metrics = MetricsWriter(workdir, size=host_state.metrics_bytes, step=step)

    # ---- Loop ------------------------------------------------------------------------------------
    snapshot_steps = {
        round(fraction * steps / run.log_every) * run.log_every for fraction in SNAPSHOT_FRACTIONS
    } | {steps}
    if step == 0:
        figures.save_snapshot(workdir, evaluator, state.eval_params, 0)

    logged = step // run.log_every * run.log_every
    warm = False
    before = time.perf_counter()
    interrupt = Interrupt(active=jax.process_count() == 1)
    with closing(checkpoints), closing(metrics), ProgressBar(step, steps) as bar, interrupt:
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
            with jax.transfer_guard("disallow"):  # only indices are sent to the device
                while step < stop:
                    count = min(per_dispatch, stop - step)
                    state = train_step(state, evaluator.data["train"], batches(step, count))
                    step += count
                    if not warm:  # do not count compilation
                        jax.block_until_ready(state)
                        warm, first, before = True, step, time.perf_counter()
                    if interrupt.requested:
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
                numbers = {name: float(total) / (step - logged) for name, total in totals.items()}
                numbers["error"] *= 100
                numbers["learning_rate"] = float(schedule(step - 1))
                metrics.write(step, "train", numbers, {"examples_per_second": speed})
                bar.show_training(step, numbers, speed)
                state = state._replace(totals=replicate(zeros, mesh))
                logged = step

            # Evaluate. Validation images choose the best checkpoint; test images never do.
            due = step % run.eval_every == 0
            if (due or step == steps) if validates else (due and step < steps):
                split = "valid" if validates else "test"
                numbers = summarize(
                    evaluator.example_metrics(state.eval_params, split, run.eval_batch_size)
                )
                metrics.write(step, split, numbers)
                bar.show_evaluation(step, split, numbers)
                best = host_state.best_error
                if validates and (best is None or numbers["error"] < best):
                    host_state = host_state._replace(best_error=numbers["error"], best_step=step)
                    checkpoints.save("best", state, step, host_state)
            if step in snapshot_steps:
                figures.save_snapshot(workdir, evaluator, state.eval_params, step)

            # Save; where a signal has come, at once.
            stopping = interrupt.requested
            if step % run.checkpoint_every == 0 or step == steps or stopping:
                now = time.perf_counter()
                host_state = host_state._replace(
                    metrics_bytes=metrics.flush(), seconds=host_state.seconds + now - started_at
                )
                started_at = now
                checkpoints.save("last", state, step, host_state)
            if stopping:
                checkpoints.wait()
                interrupt.stop()
            before = time.perf_counter()

        # Test with the parameters of the lowest validation error, or without validation the last.
        checkpoints.wait()
        if validates:
            state, _ = checkpoints.restore("best", abstract_state, mesh)
        per_image = evaluator.example_metrics(state.eval_params, "test", run.eval_batch_size)
        numbers = summarize(per_image)
        metrics.write(steps, "test", numbers)

    # ---- Result ----------------------------------------------------------------------------------
    seconds = host_state.seconds + time.perf_counter() - started_at
    rate = host_state.train_examples / max(host_state.train_seconds, 1e-9)
    write_json(
        workdir / SUMMARY,
        {
            "test_error": numbers["error"],
            "test_loss": numbers["loss"],
            "valid_error": host_state.best_error,
            "best_step": host_state.best_step,
            "steps": steps,
            "seconds": round(seconds, 2),
            "examples_per_second": round(rate, 1),
            "parameters": parameters,
            "seed": run.seed,
            "git_revision": git_revision(),
            "devices": describe_devices(),
            "jax_version": jax.__version__,
        },
    )
    picture, failures = figures.draw_figures(workdir, evaluator, state.eval_params, per_image)
    for failure in failures:
        log(failure)
    wrong, total = int(per_image.error.sum()), len(per_image.error)
    show_table(
        {
            "test error": f"{numbers['error']:.2f} %  ({wrong} of {total:,} images)",
            "speed": f"{rate:,.0f} examples/s",
            "time": f"{seconds:,.0f} s",
            "picture": picture,
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
