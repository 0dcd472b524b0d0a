"""Lasagne's recipe without its transformer: the classifier sees the image, reduced to a third.

Command:  python -m train fit configs/mnist_lasagne_cnn.py
Cost:     about 12,000 steps; not timed
Expected: 14.2 % test error in MatConvNet, 5.7 % with a transformer, on such data
"""

from configs._lasagne import cnn, row
from train.config import Config


def get_config() -> Config:
    return row(cnn(shrink=3))
