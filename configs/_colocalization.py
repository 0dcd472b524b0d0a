"""What the two rows of the paper's co-localization (appendix A.2) share.

The recipe is ours: Adam, all 100 scenes in each step. With SGD and descriptors as they are, as far
as the paper says how it trained, windows left the scenes, shrank to a point or agreed on darkness.
"""

from stn_jax.models import CoLocalizer
from train.config import Adam, CoLocalization, Config, NoDistortion, Scenes, TrainConfig


def row(patches: int) -> Config:
    """Returns the config of scenes with a number of patches of clutter."""
    return Config(
        data=Scenes(patches=patches),
        distortion=NoDistortion(),
        model=CoLocalizer(),
        task=CoLocalization(outside_penalty=1.0),
        optim=Adam(learning_rate=1e-3),
        train=TrainConfig(
            steps=1200, batch_size=100, eval_batch_size=100, log_every=50, eval_every=100
        ),
    )
