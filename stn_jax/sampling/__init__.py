"""Samplers: (image, grid) -> V."""

from stn_jax.sampling.sample import bilinear_sample, grid_sample, sample_pixels

__all__ = ["bilinear_sample", "grid_sample", "sample_pixels"]
