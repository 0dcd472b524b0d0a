"""ST-CNN Aff on P, projected digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_p_st_cnn_affine.py
Cost:     about 50 minutes on 2 CPU cores
Expected: 0.8 % test error in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, st_cnn
from train.config import Config, Perspective


def get_config() -> Config:
    return row(Perspective(), st_cnn(AFFINE))
