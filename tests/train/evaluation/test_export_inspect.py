"""What an exported program may call."""

import jax
import jax.numpy as jnp
import pytest
from jax import export

from train.evaluation.export_inspect import ALLOWED, explain_program

pytestmark = pytest.mark.usefixtures("plain_numerics")


def test_arithmetic_is_fine_and_damage_is_not() -> None:
    (batch,) = export.symbolic_shape("b")
    rows = jax.ShapeDtypeStruct((batch, 3), jnp.float32)
    program = bytes(export.export(jax.jit(jnp.sin))(rows).serialize())
    assert explain_program(program) == "fine"
    assert explain_program(b"").startswith("its program cannot be read")
    assert explain_program(program[:100]).startswith("its program cannot be read")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("shape_assertion", True),
        ("lapack_sgetrf_ffi", True),
        ("stablehlo.dynamic_top_k", True),
        ("xla_ffi_python_cpu_callback", False),
        ("xla_python_cpu_callback", False),
        ("tf.call_tf_function", False),
        ("tpu_custom_call", False),
        ("lapack_sgetrf_ffi_evil", False),
    ],
)
def test_kernels_and_calls_into_python_are_not_allowed(name: str, allowed: bool) -> None:
    assert bool(ALLOWED.fullmatch(name)) == allowed
