"""Which images of a set the figures show."""

from collections.abc import Mapping

import numpy as np


def find_worst(metrics: Mapping[str, np.ndarray], error: str, count: int) -> np.ndarray:
    """Chooses the examples with an error that have the largest losses, the largest first.

    Args:
        metrics: ``loss`` and the error of each example.
        error: name of the error.
        count: largest number of examples; fewer are chosen if some of these have no error.
    """
    worst = np.argsort(-metrics["loss"], kind="stable")[:count]
    return worst[metrics[error][worst] > 0]


def spread_over_classes(labels: np.ndarray, count: int) -> np.ndarray:
    """Chooses images of as many classes as possible, whatever the order of the set.

    Args:
        labels: label of each image of the set.
        count: largest number of images.

    Returns:
        Indices: the first image of each class in the order of the labels, then the second of each,
        and so on. With more classes than ``count``, classes at equal distances.

    Example:
        >>> spread_over_classes(np.array([0, 0, 0, 1, 1, 2]), 5).tolist()
        [0, 3, 5, 1, 4]
    """
    order = np.argsort(labels, kind="stable")
    _, first, sizes = np.unique(labels[order], return_index=True, return_counts=True)
    turn = np.arange(len(labels)) - np.repeat(first, sizes)  # how many of its class come before
    if len(first) > count:
        chosen = first[np.linspace(0, len(first) - 1, count).round().astype(int)]
    else:
        chosen = np.lexsort((labels[order], turn))[:count]
    spread: np.ndarray = order[chosen]
    return spread
