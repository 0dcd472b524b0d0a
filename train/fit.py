"""Training: one flat loop. Its parts are elsewhere; what happens, and in which order, is here."""

import math
import time
from contextlib import closing
from pathlib import Path

import jax
import numpy as np

import train.figures as figures
from train.batches import Batches, check_batch, steps_per_dispatch
from train.checkpoints import Checkpoints, Ledger
from train.config import Config
from train.data import load
from train.devices import describe_devices, keep_memory, make_mesh, replicate
from train.errors import TrainingError
from train.evaluate import Judge, input_shape, summarize
from train.metrics import MetricsWriter
from train.network import build_network
from train.optim import make_optimizer, make_schedule
from train.progress import ProgressBar, say, show_table
from train.step import TrainState, fault_names, make_init, make_train_step
from train.workdir import SUMMARY, claim, git_revision, make_workdir, read_summary, write_json

SNAPSHOTS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""When the filmstrip's frames are taken, beside the first and the last: parts of all steps."""


def fit(config: Config, workdir: Path) -> int:
    """Trains, evaluates and leaves everything in the work directory; resumes where one was begun.

    Args:
        config: what to train.
        workdir: where to leave it.

    Returns:
        The exit code.

    Raises:
        UserError: for anything the user can put right, before training.
        TrainingError: when a number is no longer finite.
    """
    began = time.perf_counter()
    keep_memory()
    run, steps = config.train, config.train.steps

    # ---- Work directory: is it ours, and is there anything left to do? ---------------------------
    summary = read_summary(workdir, config)
    if summary is not None:
        say(f"{workdir} is finished: test error {summary['test_error']:.2f} %; nothing to do")
        return 0
    make_workdir(workdir)

    # ---- Data, devices, network ------------------------------------------------------------------
    dataset = load(config.data)
    mesh = make_mesh()
    check_batch(run.batch_size, len(dataset.y_train), mesh.size)
    shape = input_shape(config.data, dataset.image_shape)
    network = build_network(config.model, shape, dataset.num_classes, run.seed)
    optimizer = make_optimizer(config.optim, steps)
    schedule = jax.jit(make_schedule(config.optim, steps))
    claim(workdir, config, dataset, shape)

    batches = Batches(len(dataset.y_train), run.batch_size, run.seed, mesh)
    judge = Judge(network, config.data, dataset, mesh)
    train_step = make_train_step(network, optimizer, config, mesh)
    init = make_init(network, optimizer, config, mesh)
    like = jax.eval_shape(init)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), like.totals)
    parameters = sum(math.prod(value.shape) for value in like.params.values())
    per_dispatch = steps_per_dispatch(run, jax.default_backend())
    say(
        f"{dataset.name}: {len(dataset.y_train):,} training images, {config.data.distortion}, "
        f"{shape[1]} x {shape[0]} pixels; {config.model.name}, {parameters:,} parameters; "
        f"{describe_devices()}"
    )

    # ---- Where were we? --------------------------------------------------------------------------
    checkpoints = Checkpoints(workdir / "checkpoints")
    validates = "valid" in judge.data
    ledger = Ledger()
    if checkpoints.step() is None:
        state = init()
    else:
        state, ledger = checkpoints.restore("last", like, mesh)
        say(f"goes on from step {int(state.step):,}")
    step = int(state.step)
    checkpoints.forget_best_after(step)
    metrics = MetricsWriter(workdir, size=ledger.metrics_bytes, step=step)

    # ---- Loop ------------------------------------------------------------------------------------
    frames = {round(part * steps / run.log_every) * run.log_every for part in SNAPSHOTS} | {steps}
    if step == 0:
        figures.save_snapshot(workdir, judge, state.judged, 0)

    logged = step // run.log_every * run.log_every
    warm = False
    before = time.perf_counter()
    with closing(checkpoints), closing(metrics), ProgressBar(step, steps) as bar:
        while step < steps:
            # Dispatch steps up to the next moment at which there is something else to do.
            stop = min(
                steps,
                *(
                    (step // period + 1) * period
                    for period in (run.log_every, run.eval_every, run.checkpoint_every)
                ),
            )
            started = step
            with jax.transfer_guard("disallow"):  # nothing but indices goes to the device
                while step < stop:
                    count = min(per_dispatch, stop - step)
                    state = train_step(state, judge.data["train"], batches(step, count))
                    step += count
                    if not warm:  # compiling is not training
                        jax.block_until_ready(state)
                        warm, started, before = True, step, time.perf_counter()
            _stop_on_fault(state, checkpoints)
            now = time.perf_counter()
            ledger = ledger._replace(
                train_seconds=ledger.train_seconds + now - before,
                train_examples=ledger.train_examples + (step - started) * run.batch_size,
            )
            speed = (step - started) * run.batch_size / (now - before)

            # Log.
            if step % run.log_every == 0 or step == steps:
                totals = jax.device_get(state.totals)
                numbers = {name: float(total) / (step - logged) for name, total in totals.items()}
                numbers["error"] *= 100
                numbers["learning_rate"] = float(schedule(step - 1))
                metrics.write(step, "train", numbers, {"examples_per_second": speed})
                bar.trained(step, numbers, speed)
                state = state._replace(totals=replicate(zeros, mesh))
                logged = step

            # Judge: validation images choose the best checkpoint; test images never do.
            due = step % run.eval_every == 0
            if (due or step == steps) if validates else (due and step < steps):
                split = "valid" if validates else "test"
                numbers = summarize(judge.outcome(state.judged, split, run.eval_batch_size))
                metrics.write(step, split, numbers)
                bar.judged(step, split, numbers)
                best = ledger.best_error
                if validates and (best is None or numbers["error"] < best):
                    ledger = ledger._replace(best_error=numbers["error"], best_step=step)
                    checkpoints.save("best", state, step, ledger)
            if step in frames:
                figures.save_snapshot(workdir, judge, state.judged, step)

            # Save.
            if step % run.checkpoint_every == 0 or step == steps:
                now = time.perf_counter()
                ledger = ledger._replace(
                    metrics_bytes=metrics.flush(), seconds=ledger.seconds + now - began
                )
                began = now
                checkpoints.save("last", state, step, ledger)
            before = time.perf_counter()

        # The end: the test images are judged by the parameters of the best validation, or the last.
        checkpoints.wait()
        if validates:
            state, _ = checkpoints.restore("best", like, mesh)
        outcome = judge.outcome(state.judged, "test", run.eval_batch_size)
        numbers = summarize(outcome)
        metrics.write(steps, "test", numbers)

    # ---- Result ----------------------------------------------------------------------------------
    picture = figures.draw_figures(workdir, judge, state.judged, outcome)
    seconds = ledger.seconds + time.perf_counter() - began
    rate = ledger.train_examples / max(ledger.train_seconds, 1e-9)
    write_json(
        workdir / SUMMARY,
        {
            "test_error": numbers["error"],
            "test_loss": numbers["loss"],
            "valid_error": ledger.best_error,
            "best_step": ledger.best_step,
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
    wrong, total = int(outcome.error.sum()), len(outcome.error)
    show_table(
        {
            "test error": f"{numbers['error']:.2f} %  ({wrong} of {total:,} images)",
            "speed": f"{rate:,.0f} examples/s",
            "time": f"{seconds:,.0f} s",
            "picture": picture,
        }
    )
    return 0


def _stop_on_fault(state: TrainState, checkpoints: Checkpoints) -> None:
    """Stops where a number is not finite: before it is logged, judged or saved."""
    fault = jax.device_get(state.fault)
    if fault.step < 0:
        return
    names = fault_names(state.params)
    bad = [name for name, flag in zip(names, fault.flags, strict=True) if flag]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    saved = checkpoints.step()
    kept = "no checkpoint was saved before" if saved is None else f"step {saved} is saved"
    raise TrainingError(
        f"step {int(fault.step)}: not finite: {', '.join(bad[:3])}{more}; {kept}. Try a lower "
        "--optim.learning-rate, --optim.clip-norm 1 or a lower --optim.localization-rate, in "
        "another --workdir."
    )
