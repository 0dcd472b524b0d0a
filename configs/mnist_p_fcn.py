"""FCN on P, projected digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_p_fcn.py
Cost:     about 6 minutes on 2 CPU cores
Expected: 2.17 % test error; 3.1 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import FCN
from train.config import Config, Perspective


def get_config() -> Config:
    return row(Perspective(), FCN((256, 256)))
