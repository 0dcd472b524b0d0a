"""FCN on R, rotated digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_r_fcn.py
Cost:     about 6 minutes on 2 CPU cores
Expected: 1.54 % test error; 2.1 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import FCN
from train.config import Config, Rotation


def get_config() -> Config:
    return row(Rotation(), FCN((256, 256)))
