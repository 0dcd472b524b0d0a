"""The paper's networks, one experiment a file; each has a config with ``build``."""

import stn_jax.nn  # noqa: F401  (first: it says how to install Flax)
from stn_jax.models._blocks import Prediction as Prediction
from stn_jax.models.distorted_mnist import DistortedMnistConfig as DistortedMnistConfig
from stn_jax.models.tutorial import TutorialConfig as TutorialConfig
