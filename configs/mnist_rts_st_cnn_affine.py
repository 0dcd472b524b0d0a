"""ST-CNN Aff on RTS, rotated, scaled and shifted digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_rts_st_cnn_affine.py
Cost:     about 75 minutes on 2 CPU cores
Expected: 0.44 % test error; 0.5 % in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, rts_st_cnn
from train.config import RTS, Config


def get_config() -> Config:
    return row(RTS(), rts_st_cnn(AFFINE), steps=50_000)
