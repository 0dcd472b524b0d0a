"""Samplers: (image, grid) -> V."""

from stn_jax.sampling.grid_sample import bilinear_sample, grid_sample, sample_pixels
from stn_jax.sampling.separable import separable_sample

__all__ = ["bilinear_sample", "grid_sample", "sample_pixels", "separable_sample"]
