"""STN on perturbed digits, with the layers of IC-STN: it sees what is left of them.

Command:  python -m train fit configs/icstn_stn.py
Cost:     about 25 minutes on 2 CPU cores
Expected: 4.31 % test error after 10,000 steps; 4.94 % in the paper
"""

from configs._icstn import single
from train.config import Config


def get_config() -> Config:
    return single()
