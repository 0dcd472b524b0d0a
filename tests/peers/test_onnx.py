"""The node tests of the onnx package for GridSample and AffineGrid, all of them."""

import warnings

import numpy as np
import pytest

import stn_jax as stn

pytest.importorskip("onnx")
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

MODES = {"linear": "bilinear", "cubic": "bicubic"}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # other operators' cases overflow on purpose
    CASES = [
        case
        for case in load_model_tests(kind="node")
        if [node.op_type for node in case.model.graph.node] in (["GridSample"], ["AffineGrid"])
    ]


def attributes(node):
    values = {a.name: a.s.decode() if a.s else a.f or a.i for a in node.attribute}
    return values


def arrays(case):
    """Inputs and expected outputs, which the package makes in memory or keeps in files."""
    inputs, outputs = case.data_sets[0]
    convert = [x if isinstance(x, np.ndarray) else numpy_helper.to_array(x) for x in inputs]
    return convert, outputs[0] if isinstance(outputs[0], np.ndarray) else numpy_helper.to_array(
        outputs[0]
    )


def test_there_are_cases():
    assert len(CASES) >= 20


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_node(case):
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
        ours = np.moveaxis(np.asarray(ours), -1, 1)
    np.testing.assert_allclose(ours, expected, atol=6e-5)  # some are given to four decimals
