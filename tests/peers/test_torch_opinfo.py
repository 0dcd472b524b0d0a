"""PyTorch's own samples for its samplers (OpInfo), each with its value and both gradients."""

import warnings
from typing import Any

import numpy as np
import pytest
from agree import channels_last, sample_with_gradients, torch_sample, undecided

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # torch.testing's internals import it

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about optional packages of PyTorch's own tests
    from torch.testing._internal.common_methods_invocations import op_db

NAMES = ("nn.functional.grid_sample", "grid_sampler_2d", "grid_sampler_3d")
OPS = {op.name: op for op in op_db if op.name in NAMES}
MODES = ("bilinear", "nearest", "bicubic")  # the numbers of grid_sampler_2d and _3d
PADDING_MODES = ("zeros", "border", "reflection")
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-9}


def options(sample: Any) -> dict[str, Any]:
    if sample.kwargs:
        return dict(sample.kwargs)
    mode, padding_mode, align_corners = sample.args[1:]
    return {
        "mode": MODES[mode],
        "padding_mode": PADDING_MODES[padding_mode],
        "align_corners": align_corners,
    }


def compare(sample: Any, dtype: Any) -> None:
    chosen = options(sample)
    image = channels_last(sample.input.detach())
    grid = sample.args[0].detach().numpy()
    rng = np.random.default_rng(0)
    cotangent = rng.standard_normal((*grid.shape[:-1], image.shape[-1])).astype(image.dtype)
    keep = ~undecided(grid, image.shape[1:-1], chosen["align_corners"], chosen["mode"])[..., None]
    assert keep.mean() > 0.98
    cotangent = np.where(keep, cotangent, 0).astype(image.dtype)
    if chosen["mode"] != "nearest":
        keep = np.ones_like(keep)
    ours = sample_with_gradients(**chosen)(image, grid, cotangent)
    theirs = torch_sample(image, grid, cotangent, **chosen)
    masks: tuple[Any, ...] = keep, True, True
    for name, a, b, mask in zip(("value", "d image", "d grid"), ours, theirs, masks, strict=True):
        scale = max(1.0, float(np.abs(b).max()))
        error = float(np.abs(np.where(mask, np.asarray(a) - b, 0)).max()) / scale
        assert error < TOLERANCE[dtype], f"{name} off by {error:.1e}: {chosen}, {image.shape}"


def samples(name: str, dtype: Any) -> list[Any]:
    return list(OPS[name].sample_inputs("cpu", dtype, requires_grad=True))


@pytest.mark.parametrize("name", NAMES)
def test_there_are_samples(name: str) -> None:
    assert len(samples(name, torch.float32)) >= 18


@pytest.mark.parametrize("name", NAMES)
def test_some_samples(name: str) -> None:
    for start, dtype in enumerate(TOLERANCE):
        chosen = [sample for sample in samples(name, dtype) if sample.input.numel() < 2e4]
        for sample in chosen[4 * start :: 11]:
            compare(sample, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_all_samples(name: str, dtype: Any) -> None:
    for sample in samples(name, dtype):
        compare(sample, dtype)
