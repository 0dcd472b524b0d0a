"""Three faults at random moments of a real run; ``make faults`` draws thirty."""

import random
from pathlib import Path

import pytest
from faults import disturb


@pytest.mark.slow
def test_a_run_recovers_from_faults_at_random_moments(tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    assert disturb(tmp_path, count=3, seed=seed) == []  # the seed is printed
