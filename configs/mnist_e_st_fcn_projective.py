"""ST-FCN Proj on E, bent digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_e_st_fcn_projective.py
Cost:     about 13 minutes on 2 CPU cores
Expected: 1.19 % test error; 2.6 % in the paper, after 150,000 steps
"""

from configs._mnist import PROJECTIVE, row, st_fcn
from train.config import Config, Elastic


def get_config() -> Config:
    return row(Elastic(), st_fcn(PROJECTIVE))
