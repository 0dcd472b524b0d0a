"""Several processes as one program: how they find each other, and what only the first one does.

JAX connects them: over NCCL on GPUs, the interconnect on TPUs and Gloo on CPUs. What the processes
tell each other besides lies in the store of JAX's coordinator, which is a part of process 0.
"""

import itertools
import json
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax._src import distributed as jax_distributed
from jax._src.clusters import ClusterEnv
from jax.experimental import multihost_utils

from train.errors import UserError
from train.run.abort import say_on_abort

START = 300
"""Seconds that the processes wait for each other at the start."""

SILENCE = 20
"""Seconds without a sign of life after which a process counts as lost."""

ANSWER = 3600
"""Seconds that processes wait for what the first one does alone, such as preparing data."""

FOLDER = "train"
"""Folder of our keys in the store."""

_Result = TypeVar("_Result")
_numbers = itertools.count()


def connect(coordinator: str | None, processes: int, process: int) -> None:
    """Connects this process to the others of a run, before JAX is used.

    Args:
        coordinator: ``host:port`` of process 0; None is what the environment says: Cloud TPU, GKE,
            SLURM, Open MPI or a Kubernetes job. Without either, one process runs alone.
        processes: number of processes; 0 is what the environment says.
        process: number of this one; -1 is what the environment says.

    Raises:
        UserError: if the three do not fit together, or not all processes come.
    """
    _check(coordinator, processes, process)
    try:
        if coordinator is None and not _detects_others():
            return
        say_on_abort(
            f"{coordinator or 'cluster'}: not all processes have come within {START} seconds. Each "
            "needs the same --coordinator and --processes, a --process of its own, and a way there."
        )
        jax.distributed.initialize(
            coordinator,
            processes or None,
            None if process < 0 else process,
            cluster_detection_method=None if coordinator is None else "deactivate",
            initialization_timeout=START,
            heartbeat_timeout_seconds=55,  # later than `train.run.watch`, which says more
            shutdown_timeout_seconds=ANSWER,  # process 0 may still draw
        )
    except (RuntimeError, ValueError, OSError) as error:
        text = " ".join(str(error).split("\n\n")[0].split())[:300]
        raise UserError(f"the processes of this run cannot be connected ({text}).") from error


def _check(coordinator: str | None, processes: int, process: int) -> None:
    if coordinator is None:
        if processes or process >= 0:
            raise UserError("--processes and --process need --coordinator HOST:PORT.")
        return
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UserError(f"--coordinator {coordinator} is not allowed; it must be HOST:PORT.")
    if processes < 1:
        raise UserError(f"--processes {processes} is not allowed; it must be 1 or more.")
    if not 0 <= process < processes:
        raise UserError(
            f"--process {process} is not allowed; it must be from 0 to {processes - 1}."
        )


def _detects_others() -> bool:
    """Returns whether a cluster that JAX knows has started several processes."""
    known = [one for one in ClusterEnv._cluster_types if not one.opt_in_only_method]
    if "JOB_COMPLETION_INDEX" not in os.environ:  # a single pod, or a notebook's
        known = [one for one in known if one.__name__ != "K8sCluster"]
    cluster = next((one for one in known if one.is_env_present()), None)
    return cluster is not None and cluster.get_process_count() > 1


def is_connected() -> bool:
    """Returns whether this is one of several processes; does not start JAX's devices."""
    return jax.distributed.is_initialized()


def store() -> Any:
    """Returns the client of the coordinator's store, which JAX has no public name for."""
    return jax_distributed.global_state.client


def on_first(function: Callable[[], _Result]) -> _Result:
    """Calls a function on process 0 alone; all processes call this, and have what came of it.

    Args:
        function: its result must be something that JSON can hold.

    Raises:
        UserError: on all processes, if it was raised on process 0.
    """
    if jax.process_count() == 1:
        return function()
    key = f"{FOLDER}/answer/{next(_numbers)}"
    if jax.process_index():
        answer = json.loads(store().blocking_key_value_get(key, 1000 * ANSWER))
        if "error" in answer:
            raise UserError(answer["error"])
        result: _Result = answer["result"]
        return result
    try:
        result = function()
    except UserError as error:
        store().key_value_set(key, json.dumps({"error": str(error)}))
        raise
    store().key_value_set(key, json.dumps({"result": result}))
    return result


def succeeded_on_all(success: bool) -> bool:
    """Returns whether something succeeded on every process; all processes call this."""
    if jax.process_count() == 1:
        return success
    return bool(np.all(multihost_utils.process_allgather(np.bool_(success))))


def check_same(what: str, find: Callable[[], dict[str, Any]]) -> None:
    """Checks that all processes have found the same.

    Args:
        what: what is found, for the message, such as "another config".
        find: returns values by name, as JSON has them; not called in a run of one process.

    Raises:
        UserError: on all processes; the message says which process differs in which value.
    """
    if jax.process_count() == 1:
        return
    found = json.loads(json.dumps(find()))
    first = on_first(lambda: found)
    differing = [
        f"{name} {found.get(name)!r}, not {first.get(name)!r}"
        for name in sorted(found | first)
        if found.get(name) != first.get(name)
    ]
    more = f" and {len(differing) - 3} more" if len(differing) > 3 else ""
    folder = f"{FOLDER}/same/{next(_numbers)}/"
    store().key_value_set(f"{folder}{jax.process_index()}", "; ".join(differing[:3]) + more)
    for process in range(1, jax.process_count()):
        difference = store().blocking_key_value_get(f"{folder}{process}", 1000 * ANSWER)
        if difference:
            raise UserError(f"process {process} runs {what} than process 0: {difference}.")


def check_shared(path: "os.PathLike[str]", option: str, seconds: float = 30.0) -> None:
    """Checks that a file that process 0 has written is there for this process too.

    Raises:
        UserError: if it is not, after some time for a network's file system.
    """
    end = time.monotonic() + seconds
    while not os.path.exists(path):
        if time.monotonic() > end:
            raise UserError(
                f"{option} is not the same folder on process {jax.process_index()} as on process "
                "0; give one on a file system that all hosts share."
            )
        time.sleep(0.2)
