"""What the two rows of the paper's co-localization (appendix A.2) share."""

from stn_jax.models import CoLocalizer
from train.config import SGD, CoLocalization, Config, Constant, NoDistortion, Scenes, TrainConfig


def row(patches: int) -> Config:
    """Returns the config of scenes with a number of patches of clutter."""
    return Config(
        data=Scenes(patches=patches),
        distortion=NoDistortion(),
        model=CoLocalizer(),
        task=CoLocalization(),
        optim=SGD(learning_rate=0.01, momentum=0.9, schedule=Constant(), clip_norm=1.0),
        train=TrainConfig(
            steps=1000, batch_size=100, eval_batch_size=100, log_every=50, eval_every=100
        ),
    )
