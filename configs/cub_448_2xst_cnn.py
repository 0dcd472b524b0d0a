"""2xST-CNN on birds of 448 pixels: a row of the paper's table 3.

Command:  python -m train fit configs/cub_448_2xst_cnn.py --data.folder CUB_200_2011
Cost:     30,000 steps; not for a CPU
Expected: 16.1 % test error in the paper, with backbones trained on ImageNet; far more without
"""

from configs._cub import row
from train.config import Config


def get_config() -> Config:
    return row(2, 448)
