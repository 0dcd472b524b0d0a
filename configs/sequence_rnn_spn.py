r"""RNN-SPN, a recurrent transformer, on three digits and 8 distractors.

It is trained twice: with windows of 25 x 25 pixels, which cost half, until they are in their
places, then with windows of 33 x 33, in which digits are sharper.

Command:  python -m train fit configs/sequence_rnn_spn.py --workdir runs/sequence_rnn_spn_25 \
              --model.output-shape 25 25 --train.steps 40000
          python -m train fit configs/sequence_rnn_spn.py \
              --train.start-from runs/sequence_rnn_spn_25
Cost:     58 and 36 minutes on 2 CPU cores
Expected: 1.34 % test error of a digit (1.58 % after the first training); 1.5 % in the paper
"""

from configs._sequence import rnn_spn, transformer_row
from train.config import Config


def get_config() -> Config:
    return transformer_row(rnn_spn(), steps=15_000)
