"""RNN-SPN's rival without a transformer: a CNN of three digits and 8 distractors.

Command:  python -m train fit configs/sequence_cnn.py
Cost:     about 2.5 hours on 2 busy CPU cores, by the time of a step
Expected: 2.9 % test error of a digit in the paper, with 96 filters and many times the steps
"""

from configs._sequence import cnn, row
from train.config import Config


def get_config() -> Config:
    return row(cnn(shrink=2))
