"""Spatial transformers in JAX: U -> localization -> theta -> transform -> grid -> sampler -> V."""

import importlib
from types import ModuleType

from stn_jax.coordinates import denormalize_grid, identity_grid, normalize_grid
from stn_jax.regularizers import (
    folding_penalty,
    identity_penalty,
    jacobian_determinant,
    outside_penalty,
    smoothness_penalty,
)
from stn_jax.sampling import (
    bilinear_sample,
    grid_sample,
    sample_pixels,
    separable_sample,
)
from stn_jax.transforms import (
    Affine,
    AffineDiffeomorphic,
    Attention,
    Chain,
    Flow,
    Projective,
    Rigid,
    Similarity,
    ThinPlateSpline,
    Transform,
    Translation,
    Velocity,
    affine_grid,
    attention_grid,
    compose,
    crop,
    denormalize_matrix,
    flow_grid,
    homography_from_points,
    invert,
    normalize_matrix,
    projective_grid,
    rotation,
    scaling,
    shear,
    thin_plate_spline_grid,
    translation,
    velocity_grid,
)
from stn_jax.warp import spatial_transform

__version__ = "0.1.0"

_MODULES = ("lasagne", "linen", "models", "nn")
"""Found as ``stn_jax.nn`` and so on when first asked for: the functions need no Flax."""


def __getattr__(name: str) -> ModuleType:
    """Imports a module of the library when it is first asked for."""
    if name in _MODULES:
        return importlib.import_module(f"stn_jax.{name}")
    raise AttributeError(f"module 'stn_jax' has no attribute {name!r}")


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
    "bilinear_sample",
    "compose",
    "crop",
    "denormalize_grid",
    "denormalize_matrix",
    "flow_grid",
    "folding_penalty",
    "grid_sample",
    "homography_from_points",
    "identity_grid",
    "identity_penalty",
    "invert",
    "jacobian_determinant",
    "normalize_grid",
    "normalize_matrix",
    "outside_penalty",
    "projective_grid",
    "rotation",
    "sample_pixels",
    "scaling",
    "separable_sample",
    "shear",
    "smoothness_penalty",
    "spatial_transform",
    "thin_plate_spline_grid",
    "translation",
    "velocity_grid",
]
