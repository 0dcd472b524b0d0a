"""Flax NNX modules: the Spatial Transformer layer and localization networks."""

from stn_jax.nn.convolution import average_pool, max_pool
from stn_jax.nn.layers import ConvolutionalFeatures, flatten, hidden_layers
from stn_jax.nn.localization import (
    ConvolutionalLocalization,
    FullyConnectedLocalization,
    parameter_head,
)
from stn_jax.nn.spatial_transformer import SpatialTransformer, Warp

__all__ = [
    "ConvolutionalFeatures",
    "ConvolutionalLocalization",
    "FullyConnectedLocalization",
    "SpatialTransformer",
    "Warp",
    "average_pool",
    "flatten",
    "hidden_layers",
    "max_pool",
    "parameter_head",
]
