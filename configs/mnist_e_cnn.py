"""CNN on E, bent digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_e_cnn.py
Cost:     about 50 minutes on 2 CPU cores
Expected: 1.4 % test error in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import CNN
from train.config import Config, Elastic


def get_config() -> Config:
    return row(Elastic(), CNN())
