"""ST-CNN Aff on extruded digits in volumes, flattened along the depth: the paper's appendix A.3.

Command:  python -m train fit configs/mnist_3d_st_cnn.py
Cost:     about 30 minutes on 2 CPU cores
Expected: 10.49 % test error; the paper gives no figure
"""

from configs._mnist_3d import st_cnn, transformer_row
from train.config import Config


def get_config() -> Config:
    return transformer_row(st_cnn())
