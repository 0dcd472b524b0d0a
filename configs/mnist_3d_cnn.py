"""Extruded digits in volumes, without a transformer: for comparison with ST-CNN.

Command:  python -m train fit configs/mnist_3d_cnn.py
Cost:     about 1 hour on 2 busy CPU cores, by the time of a step
Expected: not measured yet; the paper gives no figure
"""

from configs._mnist_3d import cnn, row
from train.config import Config


def get_config() -> Config:
    return row(cnn(shrink=2))
