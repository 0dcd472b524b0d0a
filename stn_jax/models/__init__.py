"""The paper's networks, one experiment a file; each has a config with ``build``."""

import stn_jax.nn  # noqa: F401  (first: it says how to install Flax)
from stn_jax.models._blocks import Prediction as Prediction
from stn_jax.models._parts import Backbone as Backbone
from stn_jax.models._parts import Classifier as Classifier
from stn_jax.models._parts import Features as Features
from stn_jax.models._parts import Localizer as Localizer
from stn_jax.models.co_localization import CoLocalizer as CoLocalizer
from stn_jax.models.co_localization import StridedLocalizer as StridedLocalizer
from stn_jax.models.co_localization import Windows as Windows
from stn_jax.models.cub import PartNet as PartNet
from stn_jax.models.cub import ResidualBackbone as ResidualBackbone
from stn_jax.models.distorted_mnist import CNN as CNN
from stn_jax.models.distorted_mnist import FCN as FCN
from stn_jax.models.distorted_mnist import PAPER as PAPER
from stn_jax.models.distorted_mnist import STN as STN
from stn_jax.models.distorted_mnist import ConvolutionalLocalizer as ConvolutionalLocalizer
from stn_jax.models.distorted_mnist import FullyConnectedLocalizer as FullyConnectedLocalizer
from stn_jax.models.inverse_compositional import GeometricPredictor as GeometricPredictor
from stn_jax.models.inverse_compositional import (
    InverseCompositionalSTN as InverseCompositionalSTN,
)
from stn_jax.models.parallel import ParallelSTN as ParallelSTN
from stn_jax.models.projection import Projection as Projection
from stn_jax.models.recurrent import RecurrentSTN as RecurrentSTN
from stn_jax.models.registration import RegistrationNet as RegistrationNet
from stn_jax.models.svhn import HOUSE_NUMBERS as HOUSE_NUMBERS
from stn_jax.models.svhn import HouseNumberNet as HouseNumberNet
from stn_jax.models.tutorial import TutorialNet as TutorialNet
