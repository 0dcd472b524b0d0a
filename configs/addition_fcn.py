"""FCN on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_fcn.py
Cost:     about 25 minutes on 2 CPU cores
Expected: 43.05 % test error; 47.7 % in the paper, after 150,000 steps
"""

from configs._addition import row
from stn_jax.models import FCN
from train.config import Config


def get_config() -> Config:
    return row(FCN((256, 256)))
