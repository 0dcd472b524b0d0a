"""ST-FCN Proj on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_st_fcn_projective.py
Cost:     about 20 minutes on 2 CPU cores
Expected: 0.69 % test error; 0.9 % in the paper, after 150,000 steps
"""

from configs._mnist import PROJECTIVE, WIDE, row, st_fcn
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), st_fcn(PROJECTIVE, hidden=WIDE), steps=50_000)
