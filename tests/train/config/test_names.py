"""Names of parts on the command line."""

import pytest

import stn_jax as stn
from train.config.config import is_part
from train.config.names import NAMES


@pytest.mark.parametrize("table", NAMES)
def test_every_name_stands_for_a_part(table: str) -> None:
    for name, part in NAMES[table].items():
        assert is_part(part), name
        function = part if table in ("loss", "similarity") else None
        assert isinstance(part, stn.Transform) or callable(function or part.build)


def test_every_family_of_transforms_has_a_name() -> None:
    named = {type(transform) for transform in NAMES["transform"].values()}
    families = {
        thing
        for thing in vars(stn).values()
        if isinstance(thing, type) and issubclass(thing, stn.Transform)
    }
    assert families - named == {stn.Transform, stn.Chain}
