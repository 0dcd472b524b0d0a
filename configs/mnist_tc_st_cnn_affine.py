"""ST-CNN Aff on TC, shifted and cluttered digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_tc_st_cnn_affine.py
Cost:     about 95 minutes on 2 CPU cores
Expected: 1.7 % test error in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, st_cnn
from train.config import Cluttered, Config


def get_config() -> Config:
    return row(Cluttered(), st_cnn(AFFINE, shrink=2))
