"""2xST-FCN Aff on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_2xst_fcn_affine.py
Cost:     about 35 minutes on 2 CPU cores
Expected: 8.71 % test error after 10,000 steps; 9.0 % in the paper, after 150,000 steps
"""

from configs._addition import parallel, transformer_row
from configs._mnist import AFFINE
from train.config import Config


def get_config() -> Config:
    return transformer_row(parallel(AFFINE))
