"""CNN on TC, shifted and cluttered digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_tc_cnn.py
Cost:     about 8.4 hours on 2 CPU cores
Expected: 3.5 % test error in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import CNN
from train.config import Cluttered, Config


def get_config() -> Config:
    return row(Cluttered(), CNN())
