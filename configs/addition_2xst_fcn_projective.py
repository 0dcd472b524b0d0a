"""2xST-FCN Proj on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_2xst_fcn_projective.py
Cost:     about 65 minutes on 2 CPU cores
Expected: 5.9 % test error in the paper, after 150,000 steps
"""

from configs._addition import parallel, transformer_row
from configs._mnist import PROJECTIVE
from train.config import Config


def get_config() -> Config:
    return transformer_row(parallel(PROJECTIVE))
