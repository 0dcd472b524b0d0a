"""The figures of the papers, and the config of each: one cell for each file in ``configs/``.

References:
    Jaderberg et al., "Spatial Transformer Networks", 2015, tables 1 to 3 and appendix A.
    Sonderby et al., "Recurrent Spatial Transformer Networks", 2015.
    Lin and Lucey, "Inverse Compositional Spatial Transformer Networks", 2017.
    Lasagne/Recipes, examples/spatial_transformer_network.ipynb; MatConvNet's example.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Cell(NamedTuple):
    """A place in a table: name of the config, and the paper's figure, None where it has none."""

    config: str
    figure: float | None


@dataclass(frozen=True)
class Table:
    """A table of a paper.

    Attributes:
        title: what was measured, with its unit.
        metric: key of the number in ``summary.json``.
        columns: by title, how the names of a column's configs begin.
        rows: by title, how the names of a row's configs end, and the paper's figure in each column.
        text: how a number is written.
        higher_is_better: whether a larger number is a better one.
    """

    title: str
    metric: str
    columns: Mapping[str, str]
    rows: Mapping[str, tuple[str, tuple[float | None, ...]]]
    text: str = "{:.2f}"
    higher_is_better: bool = False

    def cells(self, row: str) -> list[Cell]:
        """Returns the cells of a row."""
        end, figures = self.rows[row]
        starts = self.columns.values()
        return [Cell(f"{start}_{end}", x) for start, x in zip(starts, figures, strict=True)]

    def __iter__(self) -> Iterator[Cell]:
        """Yields all cells, row by row."""
        for row in self.rows:
            yield from self.cells(row)

    def is_no_worse(self, value: float, figure: float) -> bool:
        """Returns whether a value is at least as good as the paper's figure."""
        return value >= figure if self.higher_is_better else value <= figure


TABLES = (
    Table(
        "Distorted MNIST (table 1): test error, %",
        "test_error",
        {"R": "mnist_r", "RTS": "mnist_rts", "P": "mnist_p", "E": "mnist_e"},
        {
            "FCN": ("fcn", (2.1, 5.2, 3.1, 3.2)),
            "CNN": ("cnn", (1.2, 0.8, 1.5, 1.4)),
            "ST-FCN Aff": ("st_fcn_affine", (1.2, 0.8, 1.5, 2.7)),
            "ST-FCN Proj": ("st_fcn_projective", (1.3, 0.9, 1.4, 2.6)),
            "ST-FCN TPS": ("st_fcn_tps", (1.1, 0.8, 1.4, 2.4)),
            "ST-CNN Aff": ("st_cnn_affine", (0.7, 0.5, 0.8, 1.2)),
            "ST-CNN Proj": ("st_cnn_projective", (0.8, 0.6, 0.8, 1.3)),
            "ST-CNN TPS": ("st_cnn_tps", (0.7, 0.5, 0.8, 1.1)),
        },
    ),
    Table(
        "Shifted and cluttered MNIST, 60 x 60 (table 1): test error, %",
        "test_error",
        {"TC": "mnist_tc"},
        {
            "FCN": ("fcn", (13.2,)),
            "CNN": ("cnn", (3.5,)),
            "ST-FCN Aff": ("st_fcn_affine", (2.0,)),
            "ST-CNN Aff": ("st_cnn_affine", (1.7,)),
        },
    ),
    Table(
        "Sum of two distorted digits (appendix A.1): test error, %",
        "test_error",
        {"addition": "addition"},
        {
            "FCN": ("fcn", (47.7,)),
            "CNN": ("cnn", (14.7,)),
            "ST-FCN Aff": ("st_fcn_affine", (22.6,)),
            "ST-FCN Proj": ("st_fcn_projective", (18.5,)),
            "ST-FCN TPS": ("st_fcn_tps", (19.1,)),
            "2xST-FCN Aff": ("2xst_fcn_affine", (9.0,)),
            "2xST-FCN Proj": ("2xst_fcn_projective", (5.9,)),
            "2xST-FCN TPS": ("2xst_fcn_tps", (5.8,)),
        },
    ),
    Table(
        "Street View House Numbers (table 2): test error of whole numbers, %",
        "test_sequence_error",
        {"64 px": "svhn_64", "128 px": "svhn_128"},
        {
            "CNN": ("cnn", (4.0, 5.6)),
            "ST-CNN Single": ("st_cnn_single", (3.7, 3.9)),
            "ST-CNN Multi": ("st_cnn_multi", (3.6, 3.9)),
        },
    ),
    Table(
        "Birds, CUB-200-2011 (table 3): test error, %",
        "test_error",
        {"birds": "cub"},
        {
            "CNN, 224 px": ("224_cnn", (17.7,)),
            "2xST-CNN, 224 px": ("224_2xst_cnn", (16.9,)),
            "2xST-CNN, 448 px": ("448_2xst_cnn", (16.1,)),
            "4xST-CNN, 448 px": ("448_4xst_cnn", (15.9,)),
        },
    ),
    Table(
        "Co-localization of digits (appendix A.2; in clutter 7 to 25 by digit): not found, %",
        "test_error",
        {"co-localization": "colocalization"},
        {"T": ("t", (0.0,)), "TC": ("tc", (None,))},
    ),
    Table(
        "Digits extruded to volumes (appendix A.3, no figures): test error, %",
        "test_error",
        {"volumes": "mnist_3d"},
        {"CNN": ("cnn", (None,)), "ST-CNN": ("st_cnn", (None,))},
    ),
    Table(
        "Three digits and 8 distractors (RNN-SPN): test error of a digit, %",
        "test_error",
        {"sequences": "sequence"},
        {
            "CNN": ("cnn", (2.9,)),
            "FFN-SPN": ("ffn_spn", (2.0,)),
            "RNN-SPN": ("rnn_spn", (1.5,)),
        },
    ),
    Table(
        "Perturbed by homographies (IC-STN; 1 and 2 compositions without figures): test error, %",
        "test_error",
        {"perturbed": "icstn"},
        {
            "STN": ("stn", (4.94,)),
            "IC-STN, 1 composition": ("1", (None,)),
            "IC-STN, 2 compositions": ("2", (None,)),
            "IC-STN, 4 compositions": ("4", (1.23,)),
        },
    ),
    Table(
        "Lasagne's recipe (without a transformer: MatConvNet): test error, %",
        "test_error",
        {"clutter": "mnist_lasagne"},
        {"CNN": ("cnn", (14.2,)), "ST-CNN": ("st_cnn", (3.76,))},
    ),
)
"""The tables that ``python -m train report`` prints."""
