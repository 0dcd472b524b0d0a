"""The manners of the public API: names, keyword-only options, one default, full docstrings."""

import inspect
from collections.abc import Callable
from types import ModuleType

import pytest
from jax.typing import DTypeLike

import stn_jax as stn
import stn_jax.nn
from stn_jax import lasagne, linen, models
from stn_jax.coordinates import ALIGN_CORNERS

NAMES = """
Affine AffineDiffeomorphic Attention Chain Flow Projective Rigid Similarity ThinPlateSpline
Transform Translation Velocity affine_grid attention_grid bilinear_sample compose crop
denormalize_grid denormalize_matrix flow_grid folding_penalty grid_sample homography_from_points
identity_grid identity_penalty invert jacobian_determinant normalize_grid normalize_matrix
outside_penalty projective_grid rotation sample_pixels separable_sample scaling
shear smoothness_penalty spatial_transform thin_plate_spline_grid translation velocity_grid
""".split()
PUBLIC = [(stn, name) for name in stn.__all__] + [(stn.nn, name) for name in stn.nn.__all__]
IDS = [f"{module.__name__}.{name}" for module, name in PUBLIC]


def test_no_public_name_was_lost() -> None:
    assert set(NAMES) <= set(stn.__all__)
    assert sorted(stn.__all__) == stn.__all__


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=IDS)
def test_documented_with_an_example(module: ModuleType, name: str) -> None:
    thing = getattr(module, name)
    text = inspect.getdoc(thing)
    assert text
    if name not in ("Transform", "Warp"):  # an abstract class and a tuple have nothing to run
        assert ">>>" in text
    if inspect.isfunction(thing):
        assert "Args:" in text or len(inspect.signature(thing).parameters) < 2
        for parameter in inspect.signature(thing).parameters:
            assert f"{parameter}:" in text.replace("*", ""), f"{parameter} is not described"


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=IDS)
def test_options_are_keyword_only_and_all_else_may_be_named(module: ModuleType, name: str) -> None:
    thing = getattr(module, name)
    methods = inspect.getmembers(thing, inspect.isfunction) if inspect.isclass(thing) else []
    functions = [thing] if inspect.isfunction(thing) else []
    for of, method in methods:
        if method.__module__.startswith("stn_jax") and not of.startswith("_"):
            functions.append(method)
    for function in functions:
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.kind is not inspect.Parameter.POSITIONAL_ONLY, function
            if parameter.default is not inspect.Parameter.empty:
                assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, (function, parameter)


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=IDS)
def test_one_default_for_align_corners(module: ModuleType, name: str) -> None:
    thing = getattr(module, name)
    functions = [thing] if callable(thing) else []
    functions += [f for _, f in inspect.getmembers(thing, inspect.isfunction)]
    for function in functions:
        parameter = inspect.signature(function).parameters.get("align_corners")
        if parameter is not None:
            assert parameter.default is ALIGN_CORNERS


CALLABLE = [
    thing
    for module in (stn, stn.nn, linen, lasagne, models)
    for name, thing in vars(module).items()
    if not name.startswith("_") and callable(thing)
]


@pytest.mark.parametrize(
    "thing", CALLABLE, ids=lambda thing: f"{thing.__module__}.{thing.__name__}"
)
def test_no_signature_says_any(thing: Callable[..., object]) -> None:
    functions = [thing.__init__ if inspect.isclass(thing) else thing]
    for name, method in inspect.getmembers(thing, inspect.isfunction):
        if method.__module__.startswith("stn_jax") and not name.startswith("_"):
            functions.append(method)
    for function in functions:
        signature = inspect.signature(function)
        annotations = [p.annotation for p in signature.parameters.values()]
        for annotation in (*annotations, signature.return_annotation):
            assert annotation == DTypeLike or "Any" not in str(annotation), function
