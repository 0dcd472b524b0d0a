"""ST-FCN TPS on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_st_fcn_tps.py
Cost:     about 20 minutes on 2 CPU cores
Expected: 0.75 % test error; 0.8 % in the paper, after 150,000 steps
"""

from configs._mnist import TPS, WIDE, row, st_fcn
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), st_fcn(TPS, hidden=WIDE), steps=50_000)
