"""FCN on E, bent digits: a row of the paper's table 1.

Command:  python -m train fit configs/mnist_e_fcn.py
Cost:     about 6 minutes on 2 CPU cores
Expected: 1.72 % test error; 3.2 % in the paper, after 150,000 steps
"""

from configs._mnist import row
from stn_jax.models import FCN
from train.config import Config, Elastic


def get_config() -> Config:
    return row(Elastic(), FCN((256, 256)))
