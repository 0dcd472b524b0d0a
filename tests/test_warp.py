"""`spatial_transform`, and the options that the layers of NNX and Linen share."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

import stn_jax as stn
from stn_jax import linen
from stn_jax import nn as snn
from stn_jax.warp import SpatialTransformerBase

RNG = np.random.default_rng(0)
# Of NumPy, which layers take too.
IMAGES: Any = RNG.random((3, 8, 10, 2)).astype(np.float32)
VOLUMES: Any = RNG.random((2, 4, 5, 6, 1)).astype(np.float32)
DIAGONAL = stn.Affine(free=((True, False, True), (False, True, True)))
LAYERS = [snn.SpatialTransformer, linen.SpatialTransformer]
each_layer = pytest.mark.parametrize("layer", LAYERS, ids=["nnx", "linen"])


def zoom(x: jax.Array) -> jax.Array:
    """A localization function: every image at half the size."""
    return jnp.broadcast_to(jnp.array([2, 0, 0], x.dtype), (x.shape[0], 3))


# ---- spatial_transform ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "ndim", "shape"), [(IMAGES, 2, (5, 4)), (VOLUMES, 3, (3, 4, 5))]
)
def test_a_matrix_is_as_good_as_its_flat_form(
    images: np.ndarray, ndim: int, shape: tuple[int, ...]
) -> None:
    theta = np.eye(ndim, ndim + 1) + 0.1 * RNG.normal(size=(len(images), ndim, ndim + 1))
    theta = theta.astype(np.float32)
    expected = stn.grid_sample(images, stn.affine_grid(theta, shape))
    for params in (theta, theta.reshape(len(theta), -1)):
        out = stn.spatial_transform(images, params, shape, transform=stn.Affine(ndim))
        np.testing.assert_array_equal(out, expected)
    one = stn.spatial_transform(images[0], theta[0], shape, transform=stn.Affine(ndim))
    np.testing.assert_allclose(one, expected[0], atol=1e-6)


def test_a_matrix_for_a_family_of_fewer_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match=r"params has shape \(2, 3\).*needs \(\*batch, 4\)"):
        stn.spatial_transform(IMAGES[0], np.eye(2, 3, dtype=np.float32), (4, 4), transform=DIAGONAL)


@pytest.mark.parametrize(
    ("transform", "params", "scale", "translation"),
    [
        (stn.Attention(), (2, 0.1, -0.2), (2, 2), (0.1, -0.2)),
        (stn.Translation(), (0.1, -0.2), (1, 1), (0.1, -0.2)),
        (DIAGONAL, (2, 0.1, 3, -0.2), (2, 3), (0.1, -0.2)),
    ],
    ids=["attention", "translation", "diagonal"],
)
def test_antialias_is_separable_where_axes_do_not_mix(
    transform: stn.Transform,
    params: tuple[float, ...],
    scale: tuple[int, ...],
    translation: tuple[float, ...],
) -> None:
    vector, factors, shift = (np.array(v, np.float32) for v in (params, scale, translation))
    options: dict[str, Any] = {"mode": "bicubic", "padding_mode": "border", "align_corners": True}
    expected = stn.separable_sample(IMAGES, factors, shift, (3, 4), **options)
    for more in ({}, {"backend": "auto"}, {"max_levels": 1}):
        out = stn.spatial_transform(
            IMAGES, vector, (3, 4), transform=transform, antialias=True, **options, **more
        )
        np.testing.assert_array_equal(out, expected)
    gathered = stn.spatial_transform(
        IMAGES, vector, (3, 4), transform=transform, antialias=True, backend="gather", **options
    )
    assert np.abs(gathered - expected).max() > 1e-3


def test_spatial_transform_on_an_explicit_mesh() -> None:
    theta = np.tile(np.eye(2, 3, dtype=np.float32), (3, 1, 1))
    params = np.tile(np.array([2, 0, 0], np.float32), (3, 1))
    mesh = jax.make_mesh((1,), ("b",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        images, theta, params = (
            jax.device_put(a, jax.NamedSharding(mesh, jax.P("b"))) for a in (IMAGES, theta, params)
        )
        same = stn.spatial_transform(images, theta, (8, 10))
        small = stn.spatial_transform(
            images, params, (4, 5), transform=stn.Attention(), antialias=True
        )
    np.testing.assert_allclose(same, IMAGES, atol=1e-6)
    assert small.shape == (3, 4, 5, 2)


# ---- options of the layers -----------------------------------------------------------------------


def test_nnx_and_linen_have_the_same_options() -> None:
    def options(layer: Any) -> dict[str, Any]:
        parameters = inspect.signature(layer.__init__).parameters.values()
        return {p.name: p.default for p in parameters if p.name not in ("self", "parent", "name")}

    assert options(LAYERS[0]) == options(LAYERS[1]) == options(SpatialTransformerBase)


def test_every_option_is_described() -> None:
    text = str(inspect.getdoc(snn.SpatialTransformer))
    for name in inspect.signature(SpatialTransformerBase).parameters:
        assert f"{name}:" in text, f"{name} is not described"


@each_layer
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "linear"}, "mode='linear'"),
        ({"padding_mode": "edge"}, "padding_mode='edge'"),
        ({"fill_value": 0.5}, "fill_value"),
        ({"fill_value": np.ones(3)}, "fill_value"),
        ({"padding_mode": "fill", "fill_value": np.ones((2, 3))}, "fill_value"),
        ({"mode": "nearest", "antialias": True}, "antialias"),
        ({"antialias": 2}, "antialias=2"),
        ({"max_levels": 2}, "max_levels=2"),
        ({"antialias": True, "max_levels": -1}, "max_levels=-1"),
        ({"shape": (4, 4, 4)}, r"shape=\(4, 4, 4\) does not fit.*\(h, w\)"),
        ({"transform": stn.Affine(3), "shape": (4, 4)}, r"\(d, h, w\)"),
        ({"shape": (0, 4)}, r"shape=\(0, 4\)"),
        ({"shape": (2.5, 4)}, r"shape=\(2.5, 4\)"),
        ({"shape": 20}, r"shape=20 does not fit; it must be integers, \(h, w\)"),
        ({"shape": (4, 4), "downsample_factor": 2}, "give one of them"),
        ({"downsample_factor": 0}, "downsample_factor=0"),
        ({"downsample_factor": float("nan")}, "downsample_factor=nan"),
        ({"downsample_factor": float("inf")}, "downsample_factor=inf"),
        ({"downsample_factor": (2, 2)}, r"downsample_factor=\(2, 2\)"),
    ],
    ids=str,
)
def test_options_that_no_call_could_honour_are_refused_at_construction(
    layer: type[Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=words):
        layer(zoom, **options)


@each_layer
def test_a_class_in_place_of_a_transform_is_refused(layer: type[Any]) -> None:
    with pytest.raises(TypeError, match=r"transform=.*Attention.*must be a transform"):
        layer(zoom, stn.Attention)


@each_layer
def test_a_traced_fill_value_is_refused(layer: type[Any]) -> None:
    with pytest.raises(ValueError, match=r"fill_value=.* is traced"):
        jax.eval_shape(lambda fill: layer(zoom, padding_mode="fill", fill_value=fill), np.ones(2))


@each_layer
@pytest.mark.parametrize("fill", [0.25, np.float32(0.25), [0.25, 0.5], jnp.array([0.25, 0.5])])
def test_fill_values_are_kept_as_constants(layer: type[Any], fill: Any) -> None:
    made = layer(zoom, stn.Attention(), padding_mode="fill", fill_value=fill)
    hash(made.fill_value)
    with jax.enable_x64(False):
        y = made.apply({}, IMAGES) if layer is linen.SpatialTransformer else made(IMAGES)
        np.testing.assert_allclose(y[:, 0, 0], np.broadcast_to(fill, (3, 2)))


@pytest.mark.parametrize("factor", [1, 2, 3, 0.5, 1.5, 1.1, np.float32(2.5), 8])
def test_the_size_of_the_output(factor: float) -> None:
    layer = snn.SpatialTransformer(zoom, stn.Attention(), downsample_factor=factor)
    expected = [int(side // factor) for side in IMAGES.shape[1:3]]
    assert layer(IMAGES).shape == (3, *expected, 2)


@each_layer
def test_an_empty_output_is_refused_by_name(layer: type[Any]) -> None:
    made = layer(zoom, stn.Attention(), downsample_factor=9)
    call = made if layer is snn.SpatialTransformer else lambda x: made.apply({}, x)
    with pytest.raises(ValueError, match=r"\(3, 8, 10, 2\); downsample_factor=9 .*\(0, 1\)"):
        call(IMAGES)
    with pytest.raises(ValueError, match=r"x has shape \(8, 10\); Attention.*\(b, h, w, c\)"):
        call(IMAGES[0, ..., 0])
