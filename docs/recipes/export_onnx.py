"""Writes the trained classifier of a work directory as ONNX, with the sampler as ``GridSample``.

python docs/recipes/export_onnx.py runs/mine model.onnx

Needs, in an environment of its own: ``pip install -e '.[train]' jax2onnx onnxruntime``. jax2onnx
translates JAX's operations; the sampler is one operation of this package, ``stn_read``, and the
plugin below says what it is in ONNX. onnxruntime then runs the file on random images, and has to
agree with JAX.
"""

import sys
from pathlib import Path

import jax
import numpy as np
import onnxruntime
from jax2onnx import to_onnx
from jax2onnx.plugins.plugin_system import PrimitiveLeafPlugin, register_primitive

from stn_jax.models import _cpu_convolution
from stn_jax.sampling.interpolation import Interpolation
from stn_jax.sampling.kernels import MODES
from stn_jax.sampling.padding import PADDING_MODES
from train.evaluation.evaluator import load_run
from train.evaluation.live import predict_images

KERNELS = {
    MODES["nearest"](-0.75): "nearest",
    MODES["bilinear"](-0.75): "linear",
    MODES["bicubic"](-0.75): "cubic",
}
PADDINGS = {PADDING_MODES[name]: name for name in ("zeros", "border", "reflection")}
TOLERANCE = 1e-4


def grid_sample_attributes(interpolation: Interpolation, points: int) -> dict[str, str | int]:
    """Returns the attributes of the ``GridSample`` that samples as an interpolation does."""
    kernel, padding = KERNELS.get(interpolation.kernel), PADDINGS.get(interpolation.padding)
    same = kernel and padding and (kernel, padding) != ("cubic", "border")  # which pads points
    if not same or not interpolation.normalized or points != 4:
        raise NotImplementedError(
            "GridSample samples as mode 'nearest', 'bilinear' or 'bicubic' of images does, with "
            "padding_mode 'zeros', 'border' (not bicubic) or 'reflection'."
        )
    align_corners = int(interpolation.align_corners)
    return {"mode": kernel, "padding_mode": padding, "align_corners": align_corners}


@register_primitive(
    jaxpr_primitive="stn_read",
    onnx=[{"component": "GridSample", "doc": "https://onnx.ai/onnx/operators/"}],
    since="0.1",
    context="stn_jax",
    component="stn_read",
    testcases=[],
)
class GridSamplePlugin(PrimitiveLeafPlugin):
    """``stn_read`` of a batch of images ``(b, h, w, c)`` at points ``(b, h', w', 2)``."""

    def lower(self, ctx, eqn):
        """Adds the nodes of one call: channels first, ``GridSample``, channels last."""
        image, points = map(ctx.get_value_for_var, eqn.invars)
        rank = len(eqn.invars[1].aval.shape)
        attributes = grid_sample_attributes(eqn.params["interpolation"], rank)
        first = ctx.builder.Transpose(image, perm=[0, 3, 1, 2], _outputs=[ctx.fresh_name("nchw")])
        read = ctx.builder.GridSample(
            first, points, **attributes, _outputs=[ctx.fresh_name("grid_sample")]
        )
        result = ctx.builder.Transpose(
            read, perm=[0, 2, 3, 1], _outputs=[ctx.fresh_name("samples")]
        )
        expected = ctx.get_value_for_var(eqn.outvars[0])
        result.type, result.shape = expected.type, expected.shape
        first.type = read.type = expected.type
        ctx.bind_value_for_var(eqn.outvars[0], result)


def main(workdir: Path, out: Path) -> None:
    """Writes the file, runs it with onnxruntime, and compares."""
    # A convolution is ONNX's Conv, not what suits XLA on each platform.
    _cpu_convolution._by_platform = lambda x, kernel, cpu, default: default(x, kernel)
    run = load_run(workdir, data=False)
    experiment, params = run.experiment, jax.device_get(run.params)

    def predict(images):
        """Returns the probabilities, then the theta of each transformer; images in [0, 1]."""
        found = predict_images(experiment.network, experiment.task, params, images)
        return found["probabilities"], *(warp["theta"] for warp in found["warps"])

    shape = experiment.task.input_shape
    to_onnx(
        predict,
        [("B", *shape)],
        model_name="stn",
        opset=20,
        return_mode="file",
        output_path=out,
        input_names=["images"],
    )
    session = onnxruntime.InferenceSession(out)
    nodes = out.read_bytes().count(b"GridSample")
    worst = 0.0
    for size in (1, 3):
        images = np.random.default_rng(size).random((size, *shape), np.float32)
        theirs = session.run(None, {"images": images})
        for found, expected in zip(theirs, predict(images), strict=True):
            worst = max(worst, float(np.abs(found - np.asarray(expected)).max()))
    assert worst <= TOLERANCE, worst
    print(
        f"{out}: GridSample {'is' if nodes else 'is not'} in it; onnxruntime differs from JAX by "
        f"at most {worst:.1g}, in batches of 1 and 3"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
