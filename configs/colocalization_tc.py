"""x"""

from configs._colocalization import row
from train.config import Config


def get_config() -> Config:
    return row(16)
