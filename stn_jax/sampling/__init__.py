"""Samplers: (image, grid) -> V."""

from stn_jax.sampling.sample import bilinear_sample, grid_sample, sample_pixels
from stn_jax.sampling.separable import scale_and_translate

__all__ = ["bilinear_sample", "grid_sample", "sample_pixels", "scale_and_translate"]
