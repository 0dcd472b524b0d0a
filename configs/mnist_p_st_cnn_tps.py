"""ST-CNN TPS on P, projected digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_p_st_cnn_tps.py
Cost:     about 55 minutes on 2 CPU cores
Expected: 0.8 % test error in the paper, after 150,000 steps
"""

from configs._mnist import TPS, row, st_cnn
from train.config import Config, Perspective


def get_config() -> Config:
    return row(Perspective(), st_cnn(TPS))
