"""Spatial transformers in JAX: U -> localization -> theta -> transform -> grid -> sampler -> V."""

from stn_jax.coordinates import lattice, normalized_to_pixel, pixel_to_normalized
from stn_jax.sampling import bilinear_sample, grid_sample, sample_pixels
from stn_jax.transforms import (
    Affine,
    Attention,
    Projective,
    ThinPlateSpline,
    Transform,
    Translation,
    affine_grid,
    attention_grid,
    compose,
    crop,
    denormalize_matrix,
    homography_from_points,
    invert,
    normalize_matrix,
    projective_grid,
    rotation,
    scaling,
    shear,
    spatial_transform,
    thin_plate_spline_grid,
    translation,
)

__version__ = "0.1.0"

__all__ = [
    "Affine",
    "Attention",
    "Projective",
    "ThinPlateSpline",
    "Transform",
    "Translation",
    "affine_grid",
    "attention_grid",
    "bilinear_sample",
    "compose",
    "crop",
    "denormalize_matrix",
    "grid_sample",
    "homography_from_points",
    "invert",
    "lattice",
    "normalize_matrix",
    "normalized_to_pixel",
    "pixel_to_normalized",
    "projective_grid",
    "rotation",
    "sample_pixels",
    "scaling",
    "shear",
    "spatial_transform",
    "thin_plate_spline_grid",
    "translation",
]
