"""ST-FCN Aff on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_st_fcn_affine.py
Cost:     about 25 minutes on 2 CPU cores
Expected: 14.78 % test error after 50,000 steps; 22.6 % in the paper, after 150,000 steps
"""

from configs._addition import transformer_row
from configs._mnist import AFFINE, st_fcn
from train.config import Config


def get_config() -> Config:
    return transformer_row(st_fcn(AFFINE))
