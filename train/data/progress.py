"""A progress bar for data that take a while to read."""

from collections.abc import Collection, Iterable
from typing import TypeVar

from rich.console import Console
from rich.progress import track as rich_track

T = TypeVar("T")


def track(items: Collection[T], description: str, *, few: int = 5000) -> Iterable[T]:
    """Goes through the items with a progress bar on stderr, if there are many of them.

    Args:
        items: what to go through.
        description: what is being done, for the bar.
        few: so many, or fewer, are done too soon for a bar to be of use.

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
