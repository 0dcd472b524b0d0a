"""FCN on TC, shifted and cluttered digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_tc_fcn.py
Cost:     about 7 minutes on 2 CPU cores
Expected: 15.91 % test error; 13.2 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import FCN
from train.config import Cluttered, Config


def get_config() -> Config:
    return row(Cluttered(), FCN((128, 128)))
