"""IC-STN with one composition, on perturbed digits.

Command:  python -m train fit configs/icstn_1.py
Cost:     about 50 minutes on 2 busy CPU cores, by the time of a step
Expected: 1.23 % test error in the paper with 4 compositions, 4.94 % of one STN
"""

from configs._icstn import ic_stn
from train.config import Config


def get_config() -> Config:
    return ic_stn(1)
