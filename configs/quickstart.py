"""A spatial transformer for distorted digits; trains on a laptop.

Command:  python -m train fit configs/quickstart.py   (or: make train)
Cost:     3 to 4 minutes on 2 CPU cores
Expected: 1.75 % test error (35 of 2,000 digits)
"""

from train.config.parts import Config, DataConfig, ModelConfig, OptimConfig, TrainConfig


def get_config() -> Config:
    return Config(
        data=DataConfig(name="bundled", distortion="RTS", canvas=42),
        model=ModelConfig(
            name="st_cnn",
            output_shape=(20, 20),
            localization="fc",
            localization_hidden=(64, 32),
            localization_shrink=2,
            filters=(16, 32),
            kernel_sizes=(5, 5),
            hidden=(128,),
        ),
        optim=OptimConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=300, clip_norm=1.0),
        train=TrainConfig(
            steps=8000, batch_size=128, average=0.999, eval_every=1000, checkpoint_every=1000
        ),
    )
