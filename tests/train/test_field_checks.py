"""Checks of fields: conversions, types by annotation, ranges by name."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from train.checks import check, check_types


@dataclass(frozen=True)
class Part:
    """Fields of every kind."""

    count: int = 1
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)
    shape: tuple[int, int] | None = None
    kind: Literal["a", "b"] = "a"
    function: Callable[[int], int] = abs
    anything: Any = None

    def __post_init__(self) -> None:
        check(
            self, "part", positive=("count", "sizes"), not_negative=("shape",), fraction=("rate",)
        )


def test_lists_become_tuples_and_integers_become_floats() -> None:
    part = Part(sizes=[4, 8], rate=0)  # type: ignore[arg-type]
    assert part.sizes == (4, 8)
    assert isinstance(part.rate, float)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 0}, "part.count=0 is not allowed; it must be above 0"),
        ({"count": 2.5}, "part.count=2.5 is a float; it must be an int"),
        ({"count": True}, "part.count=True is a bool"),
        ({"rate": "fast"}, "part.rate='fast' is a str; it must be a float"),
        ({"rate": float("nan")}, "part.rate=nan .* finite"),
        ({"rate": 1.0}, r"part.rate=1.0 .* \[0, 1\)"),
        ({"sizes": (8, 0)}, r"part.sizes=\(8, 0\) .* above 0"),
        ({"sizes": 8}, "part.sizes=8 .* tuple"),
        ({"shape": (24,)}, r"part.shape=\(24,\) .* 2 items"),
        ({"shape": (-1, 0)}, r"part.shape=\(-1, 0\) .* 0 or above"),
        ({"kind": "c"}, "part.kind='c' .* choose one of a, b"),
    ],
)
def test_values_not_allowed_are_refused_by_name(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Part(**fields)
    assert "\n" not in str(caught.value)


def test_types_of_parts_without_checks_of_their_own_are_checked() -> None:
    @dataclass(frozen=True)
    class Own:
        size: int = 3

    check_types(Own(), "own")
    with pytest.raises(ValueError, match=r"own\.size='a' is a str"):
        check_types(Own("a"), "own")  # type: ignore[arg-type]
