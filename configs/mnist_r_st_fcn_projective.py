"""ST-FCN Proj on R, rotated digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_r_st_fcn_projective.py
Cost:     about 13 minutes on 2 CPU cores
Expected: 1.14 % test error; 1.3 % in the paper, after 150,000 steps
"""

from configs._mnist import PROJECTIVE, row, st_fcn
from train.config import Config, Rotation


def get_config() -> Config:
    return row(Rotation(), st_fcn(PROJECTIVE))
