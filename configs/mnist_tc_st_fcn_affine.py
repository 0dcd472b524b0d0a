"""ST-FCN Aff on TC, shifted and cluttered digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_tc_st_fcn_affine.py
Cost:     about 10 minutes on 2 CPU cores
Expected: 1.75 % test error; 2.0 % in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, st_fcn
from train.config import Cluttered, Config


def get_config() -> Config:
    return row(Cluttered(), st_fcn(AFFINE))
