"""The network as a pure function of named parameters, and everything that a training step changes.

The names of parameters, such as ``"transformer.localization.head.kernel"``, appear in error
messages and checkpoints, and select those with a learning rate of their own.

Any Flax NNX module is a network. Its method ``forward``, or else a call of it, takes the inputs of
a batch and returns what the task understands: logits, or an object with ``logits`` (classification)
and, where it has spatial transformers, ``warps``, a tuple of `stn_jax.nn.Warp`. A parameter
``keys`` of that method is for dropout: a key for each example in training, None in evaluation.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh

from stn_jax.nn import Warp
from stn_jax.warp import SpatialTransformerBase
from train.errors import UserError
from train.run.devices import options_to_run_once, shard_large
from train.step.precision import Precision, round_operands, widen

Params = dict[str, jax.Array]


@dataclass(frozen=True)
class Network:
    """A function from parameters and inputs to predictions.

    Attributes:
        graph: graph definition of the Flax module.
        paths: path of each named parameter in the module.
        identities: theta of the identity of each spatial transformer in it, ``(num_params,)``.
        uses_dropout: whether it takes keys in training.
        init: returns the initial parameters; call it inside `jax.jit`.
        precision: of activations and products, see `train.step.precision`.
    """

    graph: nnx.GraphDef[nnx.Module]
    paths: dict[str, tuple[Any, ...]]
    identities: tuple[np.ndarray, ...]
    uses_dropout: bool
    init: Callable[[], Params]
    precision: Precision = "float32"

    def __call__(self, params: Params, inputs: Any, keys: jax.Array | None = None) -> Any:
        """Returns the prediction for a batch of inputs.

        In training a network with dropout needs ``keys``, one for each example.
        """
        rounds = self.precision == "bfloat16"
        if rounds:
            params, inputs = round_operands(params, inputs)
        options = {} if keys is None else {"keys": keys}
        prediction = _forward(self.module(params))(inputs, **options)
        return widen(prediction) if rounds else prediction

    def module(self, params: Params) -> Any:
        """Returns the Flax module with these parameters."""
        flat = {self.paths[name]: nnx.Param(value) for name, value in params.items()}
        return nnx.merge(self.graph, nnx.from_flat_state(flat))

    def identity(self, warps: tuple[Warp, ...], index: int) -> np.ndarray:
        """Returns the theta of the identity of one of a prediction's warps.

        A network lists its warps in the order in which its transformers stand in it; or has one
        transformer, which it may call several times.
        """
        return self.identities[index if len(self.identities) == len(warps) else 0]


def build_network(
    model: Any,
    input_shape: Any,
    num_outputs: int,
    seed: int,
    precision: Precision = "float32",
) -> Network:
    """Builds a network without computing its parameters.

    Args:
        model: config of the network.
        input_shape: shape of one input, without batch, such as ``(h, w, c)``.
        num_outputs: what the task needs: the number of labels in classification.
        seed: seed of the initial parameters.
        precision: of activations and products.

    Raises:
        UserError: if the network cannot be built for this input shape.
    """

    def make_module() -> nnx.Module:
        module: nnx.Module = model.build(input_shape, num_outputs, rngs=nnx.Rngs(seed))
        return module

    def init() -> Params:
        flat = nnx.to_flat_state(nnx.state(make_module(), nnx.Param))
        return {_join_path(path): jnp.asarray(leaf[...]) for path, leaf in flat}

    try:
        module = nnx.eval_shape(make_module)
    except ValueError as error:
        raise UserError(f"model: {error}") from error
    graph, state, *rest = nnx.split(module, nnx.Param, ...)
    for path, leaf in nnx.to_flat_state(rest[0]):
        raise UserError(
            f"model: {_join_path(path)} is a {type(leaf).__name__}; networks here have parameters "
            "alone (nnx.Param). For dropout give forward a parameter keys; normalise without "
            "running averages (LayerNorm, GroupNorm)."
        )
    paths = {_join_path(path): path for path, _ in nnx.to_flat_state(state)}
    identities = tuple(
        np.asarray(layer.transform.identity(), np.float32)
        for _, layer in nnx.iter_modules(module)
        if isinstance(layer, SpatialTransformerBase)
    )
    uses_dropout = "keys" in inspect.signature(_forward(module)).parameters
    return Network(graph, paths, identities, uses_dropout, init, precision)


def _forward(module: Any) -> Callable[..., Any]:
    forward: Callable[..., Any] = getattr(module, "forward", module)
    return forward


def _join_path(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


class NonFinite(NamedTuple):
    """The first step with a NaN or an infinity.

    Attributes:
        step: that step, or -1 if every number was finite so far.
        flags: for each of `non_finite_names`, whether it was not finite at that step.
    """

    step: Array
    flags: Array


def non_finite_names(params: Params) -> list[str]:
    """Returns the name of each entry of `NonFinite.flags`."""
    gradients = [f"the gradient of {name}" for name in sorted(params)]
    return ["the loss", "theta", *gradients, "the update of the parameters"]


class TrainState(NamedTuple):
    """Everything that a step changes.

    Attributes:
        step: number of steps taken.
        params: parameters by name.
        average: running average of the parameters, or None.
        opt_state: state of the optimiser.
        totals: sums of the metrics since the last log entry.
        non_finite: the first step with a NaN or an infinity.
    """

    step: Array
    params: Params
    average: Params | None
    opt_state: optax.OptState
    totals: dict[str, Array]
    non_finite: NonFinite

    @property
    def eval_params(self) -> Params:
        """The parameters used for evaluation: the running average if there is one."""
        return self.params if self.average is None else self.average


def make_init(
    network: Network,
    transformation: optax.GradientTransformation,
    metrics: list[str],
    mesh: Mesh,
    *,
    average: bool,
) -> tuple[Callable[[], TrainState], TrainState]:
    """Returns the compiled ``() -> state`` that makes the initial state, and its abstract result.

    The second has the shapes and shardings for restoring a checkpoint.

    Args:
        network: the network.
        transformation: the optimiser.
        metrics: names of the metrics of a step.
        mesh: the devices; all but large matrices is replicated over them.
        average: whether a running average of the parameters is kept.
    """

    def init() -> TrainState:
        params = network.init()
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            average=jax.tree.map(jnp.copy, params) if average else None,
            opt_state=transformation.init(params),
            totals={name: jnp.zeros((), jnp.float32) for name in metrics},
            non_finite=NonFinite(
                jnp.full((), -1, jnp.int32), jnp.zeros(len(non_finite_names(params)), bool)
            ),
        )

    shapes = jax.eval_shape(init)
    shardings = jax.tree.map(lambda x: shard_large(x, mesh), shapes)
    abstract_state = jax.tree.map(
        lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
        *(shapes, shardings),
    )
    compiled = jax.jit(init, out_shardings=shardings, compiler_options=options_to_run_once())
    return compiled, abstract_state
