"""Decisions of several real processes: all do what the first decides, errors too."""

import re

import pytest
from processes import GLOO, start_script

from train.errors import UserError
from train.run.distributed import on_first, succeeded_on_all

PROCESS = """
import sys
import jax
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(f"localhost:{sys.argv[1]}", 2, int(sys.argv[2]))
from train.errors import UserError
from train.run.distributed import on_first, succeeded_on_all
me = jax.process_index()
def fail():
    raise UserError(f"said by {me}")
print(on_first(lambda: [me, None, 0.1, "ä"]))
try:
    on_first(fail)
except UserError as error:
    print(error)
print(succeeded_on_all(True), succeeded_on_all(me == 0))
"""


def test_one_process_decides_alone() -> None:
    assert on_first(lambda: (1, None)) == (1, None)
    assert succeeded_on_all(True)
    assert not succeeded_on_all(False)

    def fail() -> None:
        raise UserError("so")

    with pytest.raises(UserError, match="so"):
        on_first(fail)


@pytest.mark.slow
def test_two_processes_do_what_the_first_decides() -> None:
    processes = start_script(PROCESS)
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        lines = "[0, None, 0.1, 'ä']", "said by 0", "True False"
        assert re.search(".*".join(map(re.escape, lines)), out, re.DOTALL), out
        assert GLOO.sub("", out) == GLOO.sub("", "".join(lines))  # and nothing else of ours
