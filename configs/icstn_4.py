"""IC-STN with four compositions, on perturbed digits.

Command:  python -m train fit configs/icstn_4.py
Cost:     about 95 minutes on 2 busy CPU cores, by the time of a step
Expected: 1.04 % test error after 10,000 steps; 1.23 % in the paper
"""

from configs._icstn import ic_stn
from train.config import Config


def get_config() -> Config:
    return ic_stn(4)
