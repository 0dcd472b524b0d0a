"""ST-CNN Aff on E, bent digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_e_st_cnn_affine.py
Cost:     about 60 minutes on 2 CPU cores
Expected: 1.2 % test error in the paper, after 150,000 steps
"""

from configs._mnist import AFFINE, row, st_cnn
from train.config import Config, Elastic


def get_config() -> Config:
    return row(Elastic(), st_cnn(AFFINE))
