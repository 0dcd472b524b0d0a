"""Co-localization of digits at random places of 84 x 84: appendix A.2, T.

Its windows are compared by the layers of a CNN, which is trained first, in about 2 minutes:

    python -m train fit configs/mnist_r_cnn.py --train.steps 1000 --train.eval-every 500

One class is one run: ``--data.digit 3``, say. An error is a digit whose box and window have an
intersection over union of at most 0.5.

Command:  python -m train fit configs/colocalization_t.py
Cost:     about 1 minute on 2 CPU cores for a digit
Expected: 0.0 % test error (of most digits; report lists them), as in the paper
"""

from configs._colocalization import row
from train.config import Config


def get_config() -> Config:
    return row(patches=0)
