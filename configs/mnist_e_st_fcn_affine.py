"""ST-FCN Aff on E, bent digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_e_st_fcn_affine.py
Cost:     about 7 minutes on 2 CPU cores
Expected: 1.27 % test error; 2.7 % in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, st_fcn
from train.config import Config, Elastic


def get_config() -> Config:
    return row(Elastic(), st_fcn(AFFINE))
