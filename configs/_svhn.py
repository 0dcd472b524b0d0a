"""What the rows of the paper's table 2 share: Street View House Numbers, train and extra images.

5 positions of 11 classes (a digit, or none). The recipe is the paper's: SGD, batch 128, 400,000
steps, weight decay, dropout, a tenth of the rate for localization networks.
"""

from stn_jax.models import HOUSE_NUMBERS
from train.config import SGD, Config, HouseNumbers, NoDistortion, Sequence, Staircase, TrainConfig


def row(network: str, image_size: int) -> Config:
    """Returns the config of a network; crops of 128 pixels show twice as much as those of 64."""
    model = HOUSE_NUMBERS[network]
    return Config(
        data=HouseNumbers(image_size=image_size, expand=1.3 * image_size / 64),
        distortion=NoDistortion(),
        model=model,
        task=Sequence(length=5),
        optim=SGD(
            learning_rate=0.01,
            momentum=0.9,
            weight_decay=5e-4,
            localization_rate=0.1 if model.transformers else 1.0,
            schedule=Staircase(every=80_000),
        ),
        train=TrainConfig(
            steps=400_000, batch_size=128, log_every=200, eval_every=5000, checkpoint_every=5000
        ),
    )
