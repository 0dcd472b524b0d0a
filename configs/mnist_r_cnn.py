"""CNN on R, rotated digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_r_cnn.py
Cost:     about 40 minutes on 2 CPU cores
Expected: 1.45 % test error after 8,000 steps; 1.2 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import CNN
from train.config import Config, Rotation


def get_config() -> Config:
    return row(Rotation(), CNN())
