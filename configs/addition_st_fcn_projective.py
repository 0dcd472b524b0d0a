"""ST-FCN Proj on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_st_fcn_projective.py
Cost:     about 30 minutes on 2 CPU cores
Expected: 18.5 % test error in the paper, after 150,000 steps
"""

from configs._addition import transformer_row
from configs._mnist import PROJECTIVE, st_fcn
from train.config import Config


def get_config() -> Config:
    return transformer_row(st_fcn(PROJECTIVE))
