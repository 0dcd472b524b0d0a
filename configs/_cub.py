"""What the rows of the paper's table 3 share: 200 species of birds, CUB-200-2011.

The recipe is the paper's: SGD, rate 0.1 and a tenth of it from steps 10,000, 20,000 and 25,000 on,
1e-4 of it for the localization network, weight decay 1e-5, dropout 0.7; training images are moved,
scaled and mirrored a little. The backbones are ResNet-18s that start from nothing, where the
paper's are Inceptions trained on ImageNet: with 6,000 photographs these networks learn far less.
"""

from stn_jax.models import PartNet
from train.config import SGD, Augmentation, Birds, Classification, Config, Milestones, TrainConfig


def row(transformers: int, image_size: int) -> Config:
    """Returns the config of a number of windows, and of images of a size."""
    return Config(
        data=Birds(image_size=image_size),
        distortion=Augmentation(
            degrees=0.0, scale=(1.0, 1.3), translation=0.1, flip=True, padding_mode="reflection"
        ),
        model=PartNet(transformers, window=image_size // 2),
        task=Classification(),
        optim=SGD(
            learning_rate=0.1,
            momentum=0.9,
            weight_decay=1e-5,
            localization_rate=1e-4 if transformers else 1.0,
            schedule=Milestones(),
        ),
        train=TrainConfig(
            steps=30_000, batch_size=64, eval_batch_size=64, eval_every=1000, checkpoint_every=1000
        ),
    )
