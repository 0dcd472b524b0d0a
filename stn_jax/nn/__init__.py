"""Flax NNX modules: the Spatial Transformer layer and localization networks."""

try:
    import flax  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError('stn_jax.nn needs Flax: pip install "stn-jax[nn]"') from error

from stn_jax.nn.localization import ConvolutionalLocalization as ConvolutionalLocalization
from stn_jax.nn.localization import FullyConnectedLocalization as FullyConnectedLocalization
from stn_jax.nn.localization import parameter_head as parameter_head
from stn_jax.nn.spatial_transformer import SpatialTransformer as SpatialTransformer
from stn_jax.warp import Warp as Warp

__all__ = [
    "ConvolutionalLocalization",
    "FullyConnectedLocalization",
    "SpatialTransformer",
    "Warp",
    "parameter_head",
]
