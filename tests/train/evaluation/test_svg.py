"""Vector pictures: curves, windows, and images that a page contains."""

import base64
import io
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import stn_jax as stn
from train.evaluation import svg
from train.evaluation.curves import Curve


def points(element: ElementTree.Element) -> np.ndarray:
    return np.array([pair.split(",") for pair in element.attrib["points"].split()], float)


@pytest.mark.parametrize("log_scale", [False, True])
def test_a_curve_goes_through_its_values(log_scale: bool) -> None:
    values = [8.0, 4.0, math.nan, 2.0, 1.0]
    curve = Curve("error", log_scale, {"train": ([0, 25, 50, 75, 100], values)})
    picture = ElementTree.fromstring(svg.draw_curve(curve))
    [line] = picture.iter("polyline")
    x, y = points(line).T
    np.testing.assert_allclose(x, svg.LEFT + (svg.RIGHT - svg.LEFT) * np.array([0, 0.25, 0.75, 1]))
    assert svg.TOP <= y.min() < y.max() <= svg.BOTTOM
    steps = np.diff(y)  # equal distances of what is halved, where the axis is logarithmic
    assert bool(np.ptp(steps) < 0.3) == log_scale
    assert {"1", "2", "5"} <= {text.text for text in picture.iter("text")} or not log_scale


@pytest.mark.parametrize("values", [[0.0, 0.0], [math.nan, math.inf], [3.0, 3.0]])
@pytest.mark.parametrize("log_scale", [False, True])
def test_curves_of_odd_values_are_drawn(values: list[float], log_scale: bool) -> None:
    picture = svg.draw_curve(Curve("x", log_scale, {"train": ([0, 0], values)}))
    assert "nan" not in picture
    assert "inf" not in picture


def test_a_window_is_where_the_grid_reads() -> None:
    grid = np.asarray(
        stn.affine_grid(stn.scaling(np.array([0.5, 0.25])), (9, 9), align_corners=True)
    )
    picture = ElementTree.fromstring(svg.draw_input("a", (20, 40), [grid]))
    [line] = picture.iter("polyline")
    x, y = points(line).T
    assert (x[0], y[0]) == (x[-1], y[-1]) == (10, 7.5)
    assert (x.max(), y.max()) == (30, 12.5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_images_are_contained_and_no_larger_than_needed(channels: int) -> None:
    image = np.linspace(0, 1, 200 * 300 * channels).reshape(200, 300, channels)
    head, _, data = svg.encode(image).partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert picture.size == (128, 85)
        assert picture.mode == ("L" if channels == 1 else "RGB")
