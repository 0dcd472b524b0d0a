"""Networks as pure functions: any module, dropout, identities; and what the state holds."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import stn_jax as stn
import stn_jax.nn as snn
from train.errors import UserError
from train.experiment import Experiment
from train.step.state import build_network, non_finite_names

pytestmark = pytest.mark.usefixtures("plain_numerics")


@dataclass(frozen=True)
class Model:
    """A user's part that builds a module."""

    make: Any = field(compare=False)

    def build(self, input_shape: Any, num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
        module: nnx.Module = self.make(input_shape, num_outputs, rngs)
        return module


class Called(nnx.Module):
    def __init__(self, input_shape: Any, num_outputs: int, rngs: nnx.Rngs) -> None:
        self.dense = nnx.Linear(4, num_outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(x.reshape(len(x), -1))


class WithKeys(Called):
    def forward(self, x: jax.Array, keys: jax.Array | None = None) -> jax.Array:
        return self(x) if keys is None else 0 * self(x)


class TwoTransformers(nnx.Module):
    def __init__(self, input_shape: Any, num_outputs: int, rngs: nnx.Rngs) -> None:
        layers = []
        for transform in (stn.Attention(), stn.Affine()):
            net = snn.FullyConnectedLocalization(input_shape, transform, hidden=(2,), rngs=rngs)
            layers.append(snn.SpatialTransformer(net, transform))
        self.layers = nnx.List(layers)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x


class Normalised(nnx.Module):
    def __init__(self, input_shape: Any, num_outputs: int, rngs: nnx.Rngs) -> None:
        self.norm = nnx.BatchNorm(1, rngs=rngs)


def build(make: Any) -> Any:
    return build_network(Model(make), (2, 2, 1), 3, seed=0)


def test_a_module_that_is_called_is_a_network() -> None:
    network = build(Called)
    params = network.init()
    assert {name: value.shape for name, value in params.items()} == {
        "dense.kernel": (4, 3),
        "dense.bias": (3,),
    }
    x = jnp.ones((5, 2, 2, 1))
    np.testing.assert_allclose(network(params, x), x.reshape(5, 4) @ params["dense.kernel"])
    assert not network.uses_dropout
    assert network.identities == ()


def test_dropout_is_a_parameter_keys_of_forward() -> None:
    network = build(WithKeys)
    params, x = network.init(), jnp.ones((5, 2, 2, 1))
    assert network.uses_dropout
    assert jnp.any(network(params, x) != 0)
    assert jnp.all(network(params, x, jax.random.split(jax.random.key(0), 5)) == 0)


def test_identities_are_those_of_the_transformers_in_their_order() -> None:
    network = build(TwoTransformers)
    assert [value.tolist() for value in network.identities] == [
        [1, 0, 0],
        [1, 0, 0, 0, 1, 0],
    ]


def test_running_averages_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"norm\.\w+ is a BatchStat.*LayerNorm"):
        build(Normalised)


def test_the_message_of_a_network_that_does_not_fit_is_kept() -> None:
    def fail(*_: object) -> nnx.Module:
        raise ValueError("too small")

    with pytest.raises(UserError, match="model: too small"):
        build(fail)


def test_the_state_holds_everything_that_a_step_changes(experiment: Experiment) -> None:
    state = experiment.abstract_state
    assert set(state.totals) == {
        *("loss", "error", "objective", "outside", "theta_distance"),
        *("grad_norm", "localization_grad_norm"),
    }
    assert jax.tree.map(lambda x: x.shape, state.average) == jax.tree.map(
        lambda x: x.shape, state.params
    )
    names = non_finite_names(state.params)
    assert state.non_finite.flags.shape == (len(names),)
    assert "the gradient of classifier.logits.kernel" in names


def test_the_running_average_is_evaluated_where_there_is_one(experiment: Experiment) -> None:
    state = experiment.abstract_state
    assert state.eval_params is state.average
    assert state._replace(average=None).eval_params is state.params
