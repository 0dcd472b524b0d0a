"""What configs share whose windows leave the image at the learning rate of the other layers."""

from dataclasses import replace

from train.config import Config


def keep_windows_inside(config: Config) -> Config:
    """Returns the config with a smaller rate for localization, and a penalty on samples outside."""
    return replace(
        config,
        task=replace(config.task, outside_penalty=1.0),
        optim=replace(config.optim, localization_rate=0.2),
    )
