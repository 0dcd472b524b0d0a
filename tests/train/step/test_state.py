"""The training state: what it holds, and whose parameters are evaluated."""

import jax
import pytest

from train.experiment import Experiment
from train.step.state import non_finite_names

pytestmark = pytest.mark.usefixtures("plain_numerics")


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
