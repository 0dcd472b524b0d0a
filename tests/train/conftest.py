"""The fixtures that tests of training share; mypy can read only one conftest.py, that of tests."""

from fixtures import bundled as bundled
from fixtures import calls_of as calls_of
from fixtures import compilation_cache as compilation_cache
from fixtures import damaged_run as damaged_run
from fixtures import digits as digits
from fixtures import experiment as experiment
from fixtures import finished_run as finished_run
from fixtures import plain_numerics as plain_numerics
from fixtures import tiny_config as tiny_config
