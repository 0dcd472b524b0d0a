"""The feed-forward twin of RNN-SPN: one transformer, then three digits at once.

Command:  python -m train fit configs/sequence_ffn_spn.py
Cost:     about 3.5 hours on 2 busy CPU cores, by the time of a step
Expected: 2.0 % test error of a digit in the paper, with 96 filters and many times the steps
"""

from configs._sequence import ffn_spn, transformer_row
from train.config import Config


def get_config() -> Config:
    return transformer_row(ffn_spn())
