"""ST-CNN Aff of Lasagne's recipe: a shifted digit among 6 distractors.

Command:  python -m train fit configs/mnist_lasagne_st_cnn.py
Cost:     about 3 hours on 2 busy CPU cores, by the time of a step
Expected: 3.76 % test error in Lasagne's notebook (96.24 % right, the best of its epochs)
"""

from configs._lasagne import row, st_cnn
from train.config import Config


def get_config() -> Config:
    return row(st_cnn())
