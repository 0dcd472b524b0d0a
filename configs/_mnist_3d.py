"""What the rows of appendix A.3 share: digits extruded to volumes, turned and moved in 60^3.

The paper says neither how far digits are turned nor what its networks made of them; the ranges
(45 degrees about each axis, 14 voxels thick) and the recipe are ours.
"""

from typing import Any

import stn_jax as stn
from configs._windows import keep_windows_inside
from stn_jax.models import CNN, STN, ConvolutionalLocalizer, Projection
from train.config import Adam, Config, Extruded, Images, TrainConfig


def row(model: Any) -> Config:
    """Returns the config of a network."""
    return Config(
        data=Images("mnist", valid_fraction=1 / 6),
        distortion=Extruded(),
        model=model,
        optim=Adam(learning_rate=1e-3, warmup_steps=200, clip_norm=1.0),
        train=TrainConfig(
            steps=5000,
            batch_size=32,
            eval_batch_size=100,
            average=0.999,
            eval_every=1000,
            checkpoint_every=200,
        ),
    )


def transformer_row(model: Any) -> Config:
    """Returns the config of a network with a transformer.

    At the rate of the other layers its windows left the volume before step 250: 99.9 % of samples
    were outside, and the localization network's gradient was 0.
    """
    return keep_windows_inside(row(model))


def cnn(shrink: int = 1) -> Projection:
    """Returns the classifier of a volume's largest values along its depth."""
    return Projection(CNN((32, 64), (7, 5), (64,), shrink=shrink))


def st_cnn() -> STN:
    """Returns a transformer that writes a volume of 30^3, in front of the classifier."""
    localization = ConvolutionalLocalizer((16, 32), (5, 5), (32,), shrink=3)
    return STN(cnn(), localization, stn.Affine(ndim=3), output_shape=(30, 30, 30))
