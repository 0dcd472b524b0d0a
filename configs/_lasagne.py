"""What the rows of Lasagne's recipe share: digits and 6 distractors of 8 x 8 pixels in 60 x 60.

50,000 digits train, 10,000 choose the best parameters, 10,000 of the test set are looked at once;
they are placed and cluttered anew in every epoch, where Lasagne's notebook has a fixed set. Adam,
batch 256, the rate falls to 0.7 of itself every 20 epochs. The input of the localization network is
averaged over 2 x 2 pixels, where Lasagne's takes their maximum.

References:
    Lasagne/Recipes, examples/spatial_transformer_network.ipynb.
"""

from typing import Any

from stn_jax.models import CNN, STN, ConvolutionalLocalizer
from train.config import Adam, Cluttered, Config, Images, Staircase, TrainConfig

EPOCH = 50_000 / 256
"""Number of steps of an epoch."""


def row(model: Any) -> Config:
    """Returns the config of a network, for 60 epochs."""
    return Config(
        data=Images("mnist", valid_fraction=1 / 6),
        distortion=Cluttered(canvas=60, patches=6, patch_size=8),
        model=model,
        optim=Adam(learning_rate=1e-3, schedule=Staircase(every=round(20 * EPOCH), factor=0.7)),
        train=TrainConfig(
            steps=round(60 * EPOCH), batch_size=256, eval_every=1000, checkpoint_every=1000
        ),
    )


def cnn(shrink: int = 1) -> CNN:
    """Returns conv32 3x3 - pool - conv32 3x3 - pool - fc256, for 20 x 20 pixels."""
    return CNN((32, 32), (3, 3), (256,), shrink=shrink)


def st_cnn() -> STN:
    """Returns a transformer that reduces the image to a third, in front of the classifier."""
    return STN(cnn(), ConvolutionalLocalizer((20, 20), (5, 5), (50,)), output_shape=(20, 20))
