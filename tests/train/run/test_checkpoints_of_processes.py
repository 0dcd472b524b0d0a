"""Checkpoints of two real processes: saved together, chosen by the first, failed together."""

from pathlib import Path

import pytest
from processes import start_script

PROCESS = """
import sys
from pathlib import Path
import jax
import numpy as np
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_num_cpu_devices", 2)
me = int(sys.argv[2])
jax.distributed.initialize(f"localhost:{sys.argv[1]}", 2, me)
from jax.sharding import NamedSharding, PartitionSpec
from train.errors import TrainingError, UserError
from train.run import saved_steps
from train.run.checkpoints import Checkpoints, HostState
from train.run.devices import make_mesh
from train.step.state import NonFinite, TrainState

mesh, folder = make_mesh(), Path(sys.argv[3])
assert mesh.size == 4
shard, copies = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("data",), ()))
def make(step):
    def build():
        sharded = jax.numpy.arange(8.0) * step
        flags = NonFinite(jax.numpy.int32(-1), jax.numpy.zeros(3, bool))
        return TrainState(jax.numpy.int32(step), {"w": sharded}, None, (), {}, flags)
    shardings = jax.tree.map(lambda x: shard if x.shape == (8,) else copies, jax.eval_shape(build))
    return jax.jit(build, out_shardings=shardings)()
abstract = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), make(0)
)

def resume(checkpoints):
    state, host_state = checkpoints.resume(abstract, mesh)
    total = jax.jit(lambda x: x.sum())(state.params["w"])
    assert not state.params["w"].is_fully_replicated
    print("resumed", int(state.step), float(total), host_state.best_step, flush=True)

checkpoints = Checkpoints(folder)
assert checkpoints.resume(abstract, mesh) is None
checkpoints.save("best", make(1), 1, HostState(best_value=0.5, best_step=1))
for step in (1, 2, 3):
    checkpoints.save("last", make(step), step, HostState(best_value=0.5, best_step=1))
checkpoints.wait()
resume(checkpoints)
if me == 0:
    (folder / "last" / "3" / "host.json").write_text("{}")
resume(checkpoints)
write = saved_steps.write_checksums
def full(folder):
    raise OSError(28, "No space left on device")
saved_steps.write_checksums = full  # process 0 writes the sums
checkpoints.save("last", make(4), 4, HostState())
try:
    checkpoints.wait()
except TrainingError as error:
    print("failed", flush=True)
saved_steps.write_checksums = write
checkpoints.save("last", make(5), 5, HostState())
checkpoints.wait()
resume(checkpoints)
for step in (1, 2, 5):
    (folder / "last" / str(step) / "SHA256SUMS").unlink(missing_ok=True)
try:
    resume(checkpoints)
except UserError as error:
    print("refused", "it has no SHA256SUMS" in str(error), flush=True)
checkpoints.close()
"""


@pytest.mark.slow
def test_two_processes_save_and_resume_together(tmp_path: Path) -> None:
    processes = start_script(PROCESS, tmp_path)
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    expected = ["resumed 3 84.0 1", "resumed 2 56.0 1", "failed", "resumed 5 140.0 1"]
    for out in outputs:
        lines = [line for line in out.splitlines() if line.startswith(("resumed", "fail", "ref"))]
        assert lines == [*expected, "refused True"]
    assert "checkpoint of step 3 is damaged (host.json has changed); taking that" in outputs[0]
    assert "taking that" not in outputs[1]
