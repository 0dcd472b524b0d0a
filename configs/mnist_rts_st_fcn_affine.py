"""ST-FCN Aff on RTS, from the paper's table 1, on all of MNIST through tensorflow-datasets.

Command:  python -m train fit configs/mnist_rts_st_fcn_affine.py
Cost:     7 minutes on 2 CPU cores
Expected: 1.35 % test error (paper, 150,000 steps: 0.8 %)
"""

from stn_jax.models import FCN, STN
from train.config import RTS, Adam, Config, Images, TrainConfig


def get_config() -> Config:
    return Config(
        data=Images("mnist"),
        distortion=RTS(),
        model=STN(FCN((256, 128)), output_shape=(28, 28)),
        optim=Adam(learning_rate=1e-3, warmup_steps=500, clip_norm=1.0, weight_decay=0.05),
        train=TrainConfig(
            steps=15_000, batch_size=256, average=0.999, eval_every=2000, checkpoint_every=2000
        ),
    )
