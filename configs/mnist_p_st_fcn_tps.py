"""ST-FCN TPS on P, projected digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_p_st_fcn_tps.py
Cost:     about 20 minutes on 2 CPU cores
Expected: 1.26 % test error; 1.4 % in the paper, after 150,000 steps
"""

from configs._mnist import TPS, WIDE, WIDE_LOCALIZER, row, st_fcn
from train.config import Config, Perspective


def get_config() -> Config:
    return row(Perspective(), st_fcn(TPS, WIDE_LOCALIZER, hidden=WIDE), steps=50_000)
