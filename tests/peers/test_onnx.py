"""The node tests of the onnx package for GridSample and AffineGrid, all of them."""

import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import stn_jax as stn

pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests
from onnx.reference import ReferenceEvaluator

MODES = {"linear": "bilinear", "cubic": "bicubic"}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # other operators' cases overflow on purpose
    CASES = [
        case
        for case in load_model_tests(kind="node")
        if case.model
        and [node.op_type for node in case.model.graph.node] in (["GridSample"], ["AffineGrid"])
    ]


def attributes(node: Any) -> dict[str, Any]:
    values = {a.name: a.s.decode() if a.s else a.f or a.i for a in node.attribute}
    return values


def arrays(case: Any) -> tuple[Any, ...]:
    """Inputs and expected outputs, which the package makes in memory or keeps in files."""
    inputs, outputs = case.data_sets[0]
    convert = [x if isinstance(x, np.ndarray) else numpy_helper.to_array(x) for x in inputs]
    return convert, outputs[0] if isinstance(outputs[0], np.ndarray) else numpy_helper.to_array(
        outputs[0]
    )


def test_there_are_cases() -> None:
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_node(case: Any) -> None:
    node = case.model.graph.node[0]
    options = attributes(node)
    (first, second), expected = arrays(case)
    align_corners = bool(options.get("align_corners", 0))
    if node.op_type == "AffineGrid":
        ours = stn.affine_grid(first, second[2:].tolist(), align_corners=align_corners)
    else:
        mode = options.get("mode", "linear")
        ours = stn.grid_sample(
            np.moveaxis(first, 1, -1),
            second,
            mode=MODES.get(mode, mode),
            padding_mode=options.get("padding_mode", "zeros"),
            align_corners=align_corners,
        )
        ours = jnp.moveaxis(ours, -1, 1)
    np.testing.assert_allclose(ours, expected, atol=6e-5)  # some are given to four decimals


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_tricubic(padding_mode: str, align_corners: bool) -> None:
    """The reference evaluator, the one peer with cubic sampling of volumes; pixels in float32."""
    rng = np.random.default_rng(0)
    volume = rng.standard_normal((1, 2, 5, 4, 6))
    grid = rng.uniform(-1.6, 1.6, (1, 2, 3, 5, 3))
    grid[0, 0, 0, 0] = 1, -1, 0
    node = helper.make_node(
        "GridSample",
        ["volume", "grid"],
        ["out"],
        mode="cubic",
        padding_mode=padding_mode,
        align_corners=int(align_corners),
    )
    double = TensorProto.DOUBLE
    graph = helper.make_graph(
        [node],
        "tricubic",
        [
            helper.make_tensor_value_info("volume", double, volume.shape),
            helper.make_tensor_value_info("grid", double, grid.shape),
        ],
        [helper.make_tensor_value_info("out", double, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    (theirs,) = ReferenceEvaluator(model).run(None, {"volume": volume, "grid": grid})
    if padding_mode == "border":  # outside, it moves the coordinate; PyTorch and we the taps
        last = np.array(volume.shape[:1:-1]) - 1
        reach = 1 if align_corners else last / (last + 1)
        grid = np.where(np.abs(grid) > 1, np.clip(grid, -reach, reach), grid)
    ours = stn.grid_sample(
        np.moveaxis(volume, 1, -1),
        grid,
        mode="bicubic",
        padding_mode=padding_mode,
        align_corners=align_corners,
    )
    assert np.abs(theirs).max() > 0.5
    np.testing.assert_allclose(
        np.moveaxis(np.asarray(ours), -1, 1), np.asarray(theirs), rtol=0, atol=1e-5
    )
