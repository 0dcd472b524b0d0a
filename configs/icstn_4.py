"""IC-STN with four compositions, on perturbed digits.

Command:  python -m train fit configs/icstn_4.py
Cost:     about 1 hour on 2 CPU cores
Expected: 1.04 % test error after 10,000 steps; 1.23 % in the paper
"""

from configs._icstn import ic_stn
from train.config import Config


def get_config() -> Config:
    return ic_stn(4)
