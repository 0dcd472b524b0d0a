"""x"""

from configs._icstn import ic_stn
from train.config import Config


def get_config() -> Config:
    return ic_stn(2)
