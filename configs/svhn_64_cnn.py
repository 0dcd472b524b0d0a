"""CNN on house numbers of 64 pixels: a row of the paper's table 2.

Command:  python -m train fit configs/svhn_64_cnn.py --data.folder svhn
Cost:     400,000 steps; it has not been run
Expected: 4.0 % test error of whole numbers in the paper
"""

from configs._svhn import row
from train.config import Config


def get_config() -> Config:
    return row("cnn", 64)
