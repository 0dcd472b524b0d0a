"""RNN-SPN, a recurrent transformer, on three digits and 8 distractors.

Command:  python -m train fit configs/sequence_rnn_spn.py
Cost:     about 70 minutes on 2 CPU cores
Expected: 1.73 % test error of a digit; 1.5 % in the paper
"""

from configs._sequence import rnn_spn, transformer_row
from train.config import Config


def get_config() -> Config:
    return transformer_row(rnn_spn(), steps=40_000)
