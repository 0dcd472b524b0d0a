"""The flags of the quick suite are those that this XLA knows."""

from xla_flags import WANTED, known


def test_a_flag_that_xla_does_not_know_is_left_out() -> None:
    assert known(WANTED[0])
    assert not known("--xla_no_such_flag=true")
