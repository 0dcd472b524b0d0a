"""2xST-FCN TPS on the sum of two digits: a row of the paper's appendix A.1.

Command:  python -m train fit configs/addition_2xst_fcn_tps.py
Cost:     about 35 minutes on 2 CPU cores
Expected: 5.8 % test error in the paper, after 150,000 steps
"""

from configs._addition import parallel, transformer_row
from configs._mnist import TPS
from train.config import Config


def get_config() -> Config:
    return transformer_row(parallel(TPS))
