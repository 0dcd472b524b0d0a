"""CNN on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_cnn.py
Cost:     about 2.5 hours on 2 CPU cores
Expected: 0.8 % test error in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import CNN
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), CNN())
