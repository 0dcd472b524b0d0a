"""ST-CNN Proj on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_st_cnn_projective.py
Cost:     about 45 minutes on 2 CPU cores
Expected: 0.6 % test error in the paper, after 150,000 steps
"""

from configs._mnist import PROJECTIVE, row, rts_st_cnn
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), rts_st_cnn(PROJECTIVE))
