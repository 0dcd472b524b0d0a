"""Transforms: theta -> grid, and the helpers that build theta."""

from stn_jax.transforms.affine import Affine, affine_grid
from stn_jax.transforms.affine_exponential import AffineDiffeomorphic
from stn_jax.transforms.base import Transform
from stn_jax.transforms.chain import Chain
from stn_jax.transforms.displacement import Flow, flow_grid
from stn_jax.transforms.homography import homography_from_points
from stn_jax.transforms.matrices import crop, rotation, scaling, shear, translation
from stn_jax.transforms.matrix_algebra import compose, invert
from stn_jax.transforms.pixel_matrices import denormalize_matrix, normalize_matrix
from stn_jax.transforms.projective import Projective, projective_grid
from stn_jax.transforms.restricted import (
    Attention,
    Rigid,
    Similarity,
    Translation,
    attention_grid,
)
from stn_jax.transforms.thin_plate_spline import ThinPlateSpline, thin_plate_spline_grid
from stn_jax.transforms.velocity import Velocity, velocity_grid

__all__ = [
    "Affine",
    "AffineDiffeomorphic",
    "Attention",
    "Chain",
    "Flow",
    "Projective",
    "Rigid",
    "Similarity",
    "ThinPlateSpline",
    "Transform",
    "Translation",
    "Velocity",
    "affine_grid",
    "attention_grid",
    "compose",
    "crop",
    "denormalize_matrix",
    "flow_grid",
    "homography_from_points",
    "invert",
    "normalize_matrix",
    "projective_grid",
    "rotation",
    "scaling",
    "shear",
    "thin_plate_spline_grid",
    "translation",
    "velocity_grid",
]
