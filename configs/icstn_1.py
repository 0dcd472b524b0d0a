"""IC-STN with one composition, on perturbed digits.

Command:  python -m train fit configs/icstn_1.py
Cost:     about 50 minutes on 2 busy CPU cores, by the time of a step
Expected: 3.04 % test error after 10,000 steps; the paper has 1.23 % with 4, 4.94 % with one STN
"""

from configs._icstn import ic_stn
from train.config import Config


def get_config() -> Config:
    return ic_stn(1)
