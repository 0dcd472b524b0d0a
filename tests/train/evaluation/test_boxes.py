"""Figures of boxes."""

from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.text import Text

from train.evaluation.boxes import FOUND, TRUE, draw_boxes
from train.evaluation.drawing import WRONG


def test_each_image_has_its_two_boxes_and_says_how_well_they_fit() -> None:
    true = np.array([[-1.0, -1, 0, 0], [0, 0, 1, 1], [-1, 0, 0, 1]])
    found = true + 0.1
    fig = draw_boxes(np.zeros((3, 8, 8, 1)), true, found, [0.9, 0.4, 0.6], [True, False, True], "t")
    for ax, *boxes in zip(fig.axes, true, found, strict=False):
        patches: list[Any] = list(ax.patches)
        drawn = [(to_hex(box.get_edgecolor()), *np.ravel(box.get_bbox())) for box in patches]
        for (color, *edges), box, expected in zip(drawn, boxes, (TRUE, FOUND), strict=True):
            assert color == expected
            np.testing.assert_allclose(edges, box)
    texts = [text for ax in fig.axes for text in ax.findobj(Text) if text.get_text()]
    assert [(text.get_text(), text.get_color()) for text in texts] == [
        ("IoU 0.90", "black"),
        ("IoU 0.40", WRONG),
        ("IoU 0.60", "black"),
    ]
    plt.close(fig)
