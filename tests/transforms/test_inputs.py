"""Arguments are converted, or refused by name."""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: stn.affine_grid(jnp.eye(3), (4, 4)), "(*batch, 2, 3) or (*batch, 6)"),
        (lambda: stn.affine_grid(jnp.eye(2, 3), (4, 4, 4)), "(h, w)"),
        (lambda: stn.projective_grid(jnp.eye(2, 3), (4, 4)), "(*batch, 3, 3)"),
        (lambda: stn.thin_plate_spline_grid(jnp.ones((9, 2)), (4, 4)), "(*batch, 16, 2)"),
        (lambda: stn.ThinPlateSpline((1, 4)), "line"),
        (lambda: stn.ThinPlateSpline((4, 4), -1.0), "regularization=-1.0"),
        (lambda: stn.attention_grid(jnp.ones(2), (4, 4)), "scale and (x, y)"),
        (lambda: stn.Affine(4), "ndim=4"),
        (lambda: stn.Affine(free=((True,),)), "(2, 3)"),
        (lambda: stn.rotation(jnp.ones(()), axis="w"), "axis='w'"),
        (lambda: stn.crop(jnp.ones(3)), "(x0, y0, x1, y1)"),
        (lambda: stn.shear(jnp.ones(3)), "(xy, yx)"),
        (lambda: stn.scaling(jnp.ones(())), "(x, y)"),
        (lambda: stn.compose(jnp.eye(2, 3), jnp.eye(3, 4)), "do not compose"),
        (lambda: stn.homography_from_points(jnp.ones((3, 2)), jnp.ones((4, 2))), "four points"),
        (
            lambda: stn.homography_from_points(jnp.ones((4, 2)), jnp.ones((4, 3))),
            "source has shape",
        ),
        (lambda: stn.invert(jnp.eye(2)), "homography (*batch, 3, 3)"),
        (
            lambda: stn.normalize_matrix(jnp.eye(2, 3), (1, 4), (4, 4), align_corners=True),
            "one pixel",
        ),
        (lambda: stn.normalize_matrix(jnp.eye(2), (4, 4), (4, 4)), "matrix has shape (2, 2)"),
        (lambda: stn.denormalize_matrix(jnp.eye(2), (4, 4), (4, 4)), "theta has shape (2, 2)"),
        (lambda: stn.affine_grid(jnp.eye(2, 3), (4, -4)), "shape=(4, -4)"),
        (lambda: stn.projective_grid(jnp.eye(4), (4, 4)), "(d, h, w)"),
        (lambda: stn.attention_grid(jnp.ones(4), (4, 4)), "(d, h, w)"),
        (lambda: stn.attention_grid(jnp.ones(()), (4, 4)), "theta has shape ()"),
        (lambda: stn.flow_grid(jnp.ones((3, 2))), "flow has shape (3, 2)"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 4))), "displacement (x, y[, z])"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 3))), "(*batch, d, h, w, 3)"),
        (lambda: stn.flow_grid(jnp.ones((3, 3, 2)), units="px"), "units='px' is not known"),
        (lambda: stn.velocity_grid(jnp.ones((3, 2))), "velocity has shape (3, 2)"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), units="px"), "'normalized', 'pixels'"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), steps=-1), "steps=-1 does not fit"),
        (lambda: stn.velocity_grid(jnp.ones((3, 3, 2)), mode="cubic"), "mode='cubic'"),
        (lambda: stn.Velocity((3, 3), steps=-1), "steps=-1 does not fit"),
        (lambda: stn.Velocity((3, 3), steps=0, integrator="runge_kutta"), "steps=0 does not fit"),
        (lambda: stn.Velocity((3, 3), integrator="euler"), "'squaring', 'runge_kutta'"),
        (lambda: stn.Velocity((3,)), "give (h, w) or (d, h, w)"),
        (lambda: stn.Flow((3, 0)), "shape=(3, 0)"),
        (lambda: stn.Flow((3, 3)).grid(jnp.ones(17), (4, 4)), "(*batch, 18)"),
        (lambda: stn.Chain(), "at least one transform"),
        (lambda: stn.Chain(stn.Affine(), stn.Affine(3)), "all 2-D or all 3-D"),
        (lambda: stn.Chain(stn.Affine()).grid(jnp.ones(5), (4, 4)), "(*batch, 6)"),
        (lambda: stn.Similarity(4), "ndim=4"),
        (lambda: stn.Rigid(1), "ndim=1"),
        (lambda: stn.Attention(4), "ndim=4"),
        (lambda: stn.Translation(4), "ndim=4"),
        (lambda: stn.Projective(4), "ndim=4"),
        (lambda: stn.AffineDiffeomorphic(4), "ndim=4"),
        (lambda: stn.ThinPlateSpline(((0.0, 0.0, 0.0),)), "points (k, 2)"),
        (
            lambda: stn.spatial_transform(jnp.ones((4, 4, 1)), jnp.ones(5), (4, 4)),
            "(*batch, 6)",
        ),
    ],
)
def test_errors_say_what_to_do(call: Callable[..., Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


@pytest.mark.parametrize(
    "shape", [(2.5, 3), (3,), (2, 3, 4), ("2", 3), (2, -1), (None, 2)], ids=str
)
@pytest.mark.usefixtures("no_annotations")
def test_shapes_that_cannot_be_meant_are_refused_at_every_door(shape: Any) -> None:
    calls: list[Callable[[], jax.Array]] = [
        lambda: stn.affine_grid(np.eye(2, 3), shape),
        lambda: stn.projective_grid(np.eye(3), shape),
        lambda: stn.attention_grid(np.ones(3), shape),
        lambda: stn.thin_plate_spline_grid(np.zeros((16, 2)), shape),
        lambda: stn.Affine().grid(np.eye(2, 3), shape),
        lambda: stn.Projective().grid(np.eye(3), shape),
        lambda: stn.Flow((3, 3)).grid(np.zeros(18), shape),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"shape=.* needs a spatial shape \(h, w\)"):
            call()
    for name, shapes in (("source_shape", (shape, (4, 4))), ("target_shape", ((4, 4), shape))):
        for convert in (stn.normalize_matrix, stn.denormalize_matrix):
            with pytest.raises(ValueError, match=f"{name}=.* needs a spatial shape"):
                convert(np.eye(2, 3), *shapes)


@pytest.mark.usefixtures("no_annotations")
def test_sizes_may_be_numpys() -> None:
    shape: Any = np.array([2, 3])
    grid = stn.affine_grid(np.eye(2, 3), shape)
    np.testing.assert_array_equal(grid, stn.affine_grid(np.eye(2, 3), [2, 3]))


@pytest.mark.parametrize(
    ("call", "argument", "shape"),
    [
        (lambda t: stn.affine_grid(t, (2, 3)), "theta", (2, 3)),
        (lambda t: stn.projective_grid(t, (2, 3)), "theta", (3, 3)),
        (lambda t: stn.attention_grid(t, (2, 3)), "theta", (3,)),
        (lambda t: stn.thin_plate_spline_grid(t, (2, 3)), "offsets", (16, 2)),
        (stn.flow_grid, "flow", (2, 3, 2)),
        (stn.velocity_grid, "velocity", (2, 3, 2)),
        (stn.rotation, "angle", ()),
        (stn.scaling, "scale", (2,)),
        (stn.translation, "offset", (2,)),
        (stn.shear, "amount", (2,)),
        (stn.crop, "box", (4,)),
        (stn.invert, "theta", (2, 3)),
        (lambda t: stn.compose(np.eye(3), t), "others", (2, 3)),
        (lambda t: stn.normalize_matrix(t, (2, 3), (2, 3)), "matrix", (2, 3)),
        (lambda t: stn.denormalize_matrix(t, (2, 3), (2, 3)), "theta", (2, 3)),
        (lambda t: stn.homography_from_points(t, np.ones((4, 2))), "target", (4, 2)),
        (lambda t: stn.homography_from_points(np.ones((4, 2)), t), "source", (4, 2)),
        (lambda t: stn.Affine().grid(t, (2, 3)), "params", (6,)),
        (stn.Projective().invert, "p", (8,)),
        (lambda t: stn.Rigid().compose(np.zeros(3), t), "q", (3,)),
        (stn.identity_penalty, "grid", (2, 3, 2)),
        (stn.jacobian_determinant, "grid", (2, 3, 2)),
    ],
)
def test_complex_numbers_are_refused_by_name(
    call: Callable[..., Any], argument: str, shape: tuple[int, ...]
) -> None:
    with pytest.raises(TypeError, match=rf"^{argument}.* has dtype complex64; coord"):
        call(jnp.ones(shape, jnp.complex64))


def test_batches_that_do_not_broadcast_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"\(3, 2, 3\) and other \(2, 2, 3\) have batch axes"):
        stn.compose(np.ones((3, 2, 3)), np.ones((2, 2, 3)))
    square = np.array([(0, 0), (1, 0), (1, 1), (0, 1.0)])
    with pytest.raises(ValueError, match=r"target \(3, 4, 2\) and source \(2, 4, 2\)"):
        stn.homography_from_points(np.stack([square] * 3), np.stack([square] * 2))


def test_nests_are_arrays() -> None:
    factors: Any = [2, 3]
    matrix: Any = [[2, 0, 0], [0, 4, 0]]
    np.testing.assert_array_equal(stn.scaling(factors), stn.scaling(jnp.array([2.0, 3.0])))
    np.testing.assert_array_equal(stn.invert(matrix)[:, :2], [[0.5, 0], [0, 0.25]])
