"""What the rows of IC-STN's experiment share: MNIST, perturbed by random homographies.

The corners are moved by N(0, 12.5 % of the side) each and as much together. The image is on a
canvas of 56 x 56, so that an IC-STN, which starts with its middle, can bring back what was moved
out of it; the STN sees the middle alone, and what is cut off stays so. All networks have the
paper's layers, about 39,000 parameters. The recipe is ours: Adam and a falling rate; the paper's
networks took up to 500,000 steps of SGD.
"""

from typing import Any

import stn_jax as stn
from stn_jax.models import CNN, STN, GeometricPredictor, InverseCompositionalSTN
from train.config import Adam, Config, Images, Perturbed, TrainConfig


def row(model: Any, canvas: int) -> Config:
    """Returns the config of a network and of the side of its canvas."""
    return Config(
        data=Images("mnist", valid_fraction=1 / 6),
        distortion=Perturbed(canvas=canvas),
        model=model,
        optim=Adam(learning_rate=2e-3, warmup_steps=500, clip_norm=1.0, localization_rate=0.3),
        train=TrainConfig(
            steps=20_000, batch_size=256, average=0.999, eval_every=1000, checkpoint_every=1000
        ),
    )


def ic_stn(compositions: int) -> Config:
    """Returns the config of a number of compositions."""
    return row(InverseCompositionalSTN(compositions=compositions), canvas=56)


def single() -> Config:
    """Returns the config of the STN with the same layers."""
    classifier = CNN((3,), (9,), pool_last=False)
    return row(STN(classifier, GeometricPredictor(), stn.Projective()), canvas=28)
