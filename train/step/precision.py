"""Mixed precision: activations and products of a network in bfloat16, on float32 parameters.

A step computes with rounded copies of parameters and inputs; parameters, gradients, losses and the
optimiser stay in float32. So do localization networks, since theta says where points lie: the
rounding of bfloat16 is 0.4 % of an image's width. Coordinates and grids are float32 always.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp

from train.step.optimizer import is_localization

Precision = Literal["float32", "bfloat16"]


def round_operands(params: dict[str, jax.Array], inputs: Any) -> tuple[dict[str, jax.Array], Any]:
    """Returns what a network computes with: parameters by name, and its inputs.

    Localization networks see rounded inputs and compute in float32, as promotion has it.

    Example:
        >>> params = {"localization.kernel": jnp.ones(2), "hidden.kernel": jnp.ones(2)}
        >>> rounded, inputs = round_operands(params, jnp.ones(3))
        >>> [str(x.dtype) for x in (*rounded.values(), inputs)]
        ['float32', 'bfloat16', 'bfloat16']
    """
    rounded = {
        name: value if is_localization(name) else _cast(value, jnp.float32, jnp.bfloat16)
        for name, value in params.items()
    }
    return rounded, jax.tree.map(lambda x: _cast(x, jnp.float32, jnp.bfloat16), inputs)


def widen(prediction: Any) -> Any:
    """Returns a prediction in float32, for losses and metrics."""
    return jax.tree.map(lambda x: _cast(x, jnp.bfloat16, jnp.float32), prediction)


def _cast(array: jax.Array, source: Any, target: Any) -> jax.Array:
    return array.astype(target) if array.dtype == source else array
