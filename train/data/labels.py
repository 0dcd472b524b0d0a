"""Labels from arrays: integers from 0 on, or words, which become classes."""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from train.data.dataset import DataError


def order_classes(names: Iterable[str]) -> list[str]:
    """Returns names of classes in the order of their labels: by value if all are numbers.

    Example:
        >>> order_classes({"10", "9"}), order_classes({"10", "9", "cat"})
        (['9', '10'], ['10', '9', 'cat'])
    """
    names = sorted(names)
    if all(name.isdecimal() and len(name) < 1000 for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return names


def read_labels(name: str, labels: np.ndarray) -> np.ndarray:
    """Checks the labels of one set.

    Args:
        name: name of the array in error messages.
        labels: ``(n,)`` or ``(n, 1)``, integers or strings.

    Returns:
        ``(n,)``, int32 or str.

    Raises:
        DataError: for another shape or dtype; the cure that it names fits the array.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(
            f"{name} has shape {labels.shape}; it must be (n,) or (n, 1), one label for each image"
            f"{_cure_of_shape(labels)}."
        )
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "U":
        return labels
    if labels.dtype.kind not in "iu":
        raise DataError(
            f"{name} is {labels.dtype}; labels must be integers or strings{_cure_of_dtype(labels)}."
        )
    limits = np.iinfo(np.int32)
    for label in (labels.min(), labels.max()) if labels.size else ():
        if not limits.min <= label <= limits.max:
            raise DataError(f"{name} holds label {label}; labels must count classes from 0.")
    return labels.astype(np.int32)


def _cure_of_shape(labels: np.ndarray) -> str:
    if labels.size == 0:
        return ""
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        values = labels[:1000].astype(np.float64)
        one_hot = values.min() >= 0 and np.allclose(values.sum(axis=1), 1, atol=1e-3)
        if one_hot and labels.shape[1] > 1:
            return ". To convert one-hot rows: y.argmax(axis=1)"
    if sum(length > 1 for length in labels.shape) <= 1:
        return ": y.ravel()"
    return ", and not several"


def _cure_of_dtype(labels: np.ndarray) -> str:
    if labels.dtype.kind == "b":
        return ": y.astype(np.int32)"
    if labels.dtype.kind == "f" and np.array_equal(labels[:1000], np.round(labels[:1000])):
        return ": y.astype(np.int32)"
    if labels.dtype.kind == "f":
        return ", and these are not whole numbers"
    return ""


def to_classes(
    name: str, labels: Mapping[str, np.ndarray], class_names: np.ndarray | None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Numbers the classes.

    Args:
        name: name of the file in error messages.
        labels: checked labels by the name of their array; ``y_train`` decides.
        class_names: one string for each class, in the order of their labels; None gives words
            their alphabetical order, and numbers their own.

    Returns:
        Labels as int32 by the name of their array, and the names of the classes.

    Raises:
        DataError: if labels are words in one set and numbers in another, or ``y_train`` leaves out
            numbers and there are no names.
    """
    words = labels["y_train"].dtype.kind == "U"
    for key, array in labels.items():
        if (array.dtype.kind == "U") != words and array.size:
            kinds = ("words", "numbers") if words else ("numbers", "words")
            raise DataError(
                f"{name}: y_train holds {kinds[0]} and {key} {kinds[1]}; make them the same."
            )
    if class_names is not None:
        names = _check_names(name, class_names)
    elif words:
        names = tuple(order_classes(set(labels["y_train"].tolist())))
    else:
        names = _name_numbers(name, labels["y_train"])
    if not words:
        return dict(labels), names
    numbers = {word: number for number, word in enumerate(names)}
    numbered = {}
    for key, array in labels.items():
        unknown = next((word for word in array.tolist() if word not in numbers), None)
        if unknown is not None:
            where = "y_train" if class_names is None else "class_names"
            raise DataError(
                f"{name}: {key} holds the label {unknown[:100]!r}, which {where} lacks."
            )
        numbered[key] = np.array([numbers[word] for word in array.tolist()], np.int32)
    return numbered, names


def _check_names(name: str, class_names: np.ndarray) -> tuple[str, ...]:
    if class_names.dtype.kind == "S":
        class_names = np.char.decode(class_names, "utf-8", "replace")
    if class_names.ndim != 1 or class_names.dtype.kind != "U":
        raise DataError(
            f"{name}: class_names is {class_names.dtype} {class_names.shape}; it must be strings, "
            "(number of classes,)."
        )
    names = tuple(class_names.tolist())
    text, count = Counter(names).most_common(1)[0] if names else ("", 0)
    if count > 1:
        raise DataError(
            f"{name}: class_names holds {text[:100]!r} twice; each class needs its own."
        )
    return names


def _name_numbers(name: str, labels: np.ndarray) -> tuple[str, ...]:
    present = np.unique(labels)
    if np.array_equal(present, np.arange(len(present))):
        return tuple(map(str, present.tolist()))
    raise DataError(
        f"{name}: y_train has labels that are {'negative' if present[0] < 0 else 'not contiguous'}:"
        f" found {len(present)} classes between {present[0]} and {present[-1]}; labels must be 0 "
        f"to {len(present) - 1}. {_cure_of_numbers(present)}."
    )


def _cure_of_numbers(present: np.ndarray) -> str:
    first, last = int(present[0]), int(present[-1])
    if first < 0 and last >= 0:
        return f"If {first} marks images without a label, leave them out of every set"
    names = "" if first < 0 else f", or give class_names, one for each number from 0 to {last}"
    if last - first + 1 == len(present):
        return f"{'Subtract' if first > 0 else 'Add'} {abs(first)} in every set{names}"
    return (
        "Correct them, or renumber every set alike: classes = np.unique(y_train), "
        f"y = np.searchsorted(classes, y){names}"
    )
