"""x"""

from configs._icstn import single
from train.config import Config


def get_config() -> Config:
    return single()
