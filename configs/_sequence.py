"""What the rows of RNN-SPN's table share: three digits of MNIST and 8 distractors in 100 x 100.

The digits stand side by side on a slope, with patches of 9 x 9 pixels of other digits, all drawn
anew in every epoch; the error is that of a digit. The recipe is ours: Adam and a falling rate; the
paper's networks saw 60,000 such images up to 300 times (RMSProp, batch 100).
"""

from typing import Any

from configs._windows import keep_windows_inside
from stn_jax.models import CNN, STN, ConvolutionalLocalizer, RecurrentSTN
from train.config import Adam, Config, Images, NoDistortion, Sequence, TrainConfig


def row(model: Any, steps: int = 20_000) -> Config:
    """Returns the config of a network without a transformer."""
    return Config(
        data=Images("mnist", valid_fraction=1 / 6),
        distortion=NoDistortion(),
        model=model,
        task=Sequence(length=3, arrangement="slope", canvas=100, distractors=8, monitor="error"),
        optim=Adam(learning_rate=1e-3, warmup_steps=500, clip_norm=1.0),
        train=TrainConfig(
            steps=steps, batch_size=64, average=0.999, eval_every=1000, checkpoint_every=500
        ),
    )


def transformer_row(model: Any, steps: int = 20_000) -> Config:
    """Returns the config of a network with a transformer.

    At the rate of the other layers RNN-SPN's windows left the image: at step 2,700 all samples
    were outside, the localization network's gradient was 0 and the loss that of chance. A smaller
    rate and a penalty on samples outside keep them inside.
    """
    return keep_windows_inside(row(model, steps))


def rnn_spn() -> RecurrentSTN:
    """Returns the recurrent transformer: three windows of 33 x 33 pixels, one for each digit.

    Its classifier is wider than the paper's (32 filters in each convolution, no dropout), which
    errs more often even on digits that are cut out where they truly are.
    """
    classifier = CNN((32, 64, 128), (5, 3, 3), (400,), dropout=0.3, pool_last=False)
    return RecurrentSTN(classifier, output_shape=(33, 33))


def cnn(**options: int) -> CNN:
    """Returns the classifier of the other networks (paper: 96 filters)."""
    return CNN((32, 32, 32), (3, 3, 3), (400,), pool_last=False, **options)


def ffn_spn() -> STN:
    """Returns the feed-forward twin: one window of 50 x 50 pixels, then all three digits."""
    localization = ConvolutionalLocalizer((20, 20, 20), (3, 3, 3), (200,), shrink=2)
    return STN(cnn(), localization, output_shape=(50, 50))
