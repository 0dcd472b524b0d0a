"""What people call the sets of a dataset, in folders and in archives of arrays."""

import re

SPLITS = ("train", "valid", "test")
"""The sets of a dataset, by the names that this code uses."""

_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "val", "validation", "dev"),
    "test": ("test", "testing"),
}
_OTHERS = ("eval", "evaluation", "holdout", "unlabeled", "unlabelled")
_PARTS = {
    "x": ("x", "images", "image"),
    "y": ("y", "labels", "label"),
    "groups": ("groups", "group"),
}


def find_set(name: str) -> str | None:
    """Returns which set a folder holds by its name, in any case, or None.

    Example:
        >>> find_set("Train"), find_set("val"), find_set("cats")
        ('train', 'valid', None)
    """
    found = (split for split, names in _NAMES.items() if name.lower() in names)
    return next(found, None)


def looks_like_set(name: str) -> bool:
    """Returns whether a word of the name is that of a set, known or not.

    Example:
        >>> looks_like_set("test_images"), looks_like_set("eval"), looks_like_set("contest")
        (True, True, False)
    """
    known = {*_OTHERS, *(word for names in _NAMES.values() for word in names)}
    return any(word in known for word in re.split(r"[^a-z]+", name.lower()))


def find_array(name: str) -> str | None:
    """Returns which array of a dataset a key names: ``x_train``, ``y_test``, ..., or None.

    The part and the set come in either order and any case; without a set it is the training set.

    Example:
        >>> find_array("X_train"), find_array("val_labels"), find_array("images")
        ('x_train', 'y_valid', 'x_train')
        >>> find_array("x_extra"), find_array("notes")
        (None, None)
    """
    words = name.lower().split("_")
    parts = [p for p, names in _PARTS.items() for word in words if word in names]
    splits = [find_set(word) for word in words if find_set(word)]
    if len(parts) != 1 or len(words) != 1 + len(splits) or len(splits) > 1:
        return None
    return f"{parts[0]}_{splits[0] if splits else 'train'}"


def describe_names() -> str:
    """Returns what each set may be called, for error messages."""
    return "; ".join(f"{split}: {', '.join(names)}" for split, names in _NAMES.items())
