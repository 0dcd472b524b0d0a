"""CNN on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_cnn.py
Cost:     about 6.7 hours on 2 CPU cores
Expected: 14.7 % test error in the paper, after 150,000 steps
"""

from configs._addition import row
from stn_jax.models import CNN
from train.config import Config


def get_config() -> Config:
    return row(CNN())
