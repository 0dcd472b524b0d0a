"""Decisions that all processes of a run share: one process alone would leave the others waiting."""

import json
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from train.errors import UserError

T = TypeVar("T")


def decide_on_first(decide: Callable[[], T]) -> T:
    """Returns on every process what process 0 decides; all processes must call it.

    Args:
        decide: called by process 0 alone; what it returns can be written as JSON.

    Raises:
        UserError: on every process, if ``decide`` raises one.
    """
    if jax.process_count() == 1:
        return decide()
    answer = b""
    if jax.process_index() == 0:
        try:
            answer = json.dumps({"value": decide()}).encode()
        except UserError as error:
            answer = json.dumps({"error": str(error)}).encode()
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(answer))))
    padded = np.frombuffer(answer.ljust(size), np.uint8)
    sent = np.asarray(multihost_utils.broadcast_one_to_all(padded))
    decision = json.loads(sent.tobytes())
    if "error" in decision:
        raise UserError(decision["error"])
    return decision["value"]


def succeeded_on_all(success: bool) -> bool:
    """Returns whether something succeeded on every process; all processes must call it."""
    if jax.process_count() == 1:
        return success
    return bool(np.all(multihost_utils.process_allgather(np.bool_(success))))
