"""A progress bar for reading data."""

from collections.abc import Collection, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")


def track(items: Collection[T], description: str, *, few: int = 5000) -> Iterable[T]:
    """Iterates over items, with a progress bar on stderr if there are many.

    Args:
        items: items to iterate over.
        description: text of the bar.
        few: largest number of items without a bar.

    Returns:
        The items.
    """
    return rich_track(
        items,
        description=description,
        console=Console(stderr=True),
        transient=True,
        disable=len(items) <= few,
    )
