"""FCN on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_fcn.py
Cost:     about 20 minutes on 2 CPU cores
Expected: 4.22 % test error; 5.2 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import FCN
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), FCN((200, 200)), steps=50_000)
