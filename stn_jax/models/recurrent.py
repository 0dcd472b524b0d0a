"""RNN-SPN: a recurrent spatial transformer that looks at one label of a sequence after another."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import random
from jaxtyping import Array, Float, Key

from stn_jax.models._blocks import ConvolutionalFeatures, Prediction
from stn_jax.models._parts import Classifier
from stn_jax.models.distorted_mnist import CNN, build_classifier, classify
from stn_jax.nn import SpatialTransformer
from stn_jax.nn.localization import check_positive, check_sequences, flatten, parameter_head
from stn_jax.transforms.affine import Affine
from stn_jax.transforms.base import Transform
from stn_jax.warp import Warp


@dataclass(frozen=True)
class RecurrentSTN:
    """A recurrent network moves one window over the image; each glimpse is classified.

    Convolutions see the image once; their features are the input of a gated recurrent unit (GRU) at
    each of its steps, whose state gives theta. The transformer reads a window of the image at each
    step, and one classifier, the same at each step, reads its label. The defaults are the paper's
    sizes, for three digits on a canvas of 100 x 100.

    Attributes:
        classifier: the network that sees a glimpse; any part with
            ``build(input_shape, num_classes, rngs=)``.
        filters: filters of the localization network's convolutions.
        kernel_sizes: side of each convolution's kernel.
        units: units of the recurrent network.
        steps: number of glimpses, one for each label of the sequence.
        shrink: the localization network averages this many pixels along each axis first.
        transform: what theta parameterises.
        output_shape: spatial shape of a glimpse (paper: a third of the image's sides).
        padding_mode: what the transformer reads outside the image.

    References:
        Sonderby et al., "Recurrent Spatial Transformer Networks", 2015.

    Example:
        >>> def predict(images):
        ...     return RecurrentSTN().build((100, 100, 1), 30, rngs=nnx.Rngs(0)).forward(images)
        >>> prediction = jax.eval_shape(predict, jnp.ones((2, 100, 100, 1)))
        >>> prediction.logits.shape, [warp.features.shape for warp in prediction.warps]
        ((2, 30), [(2, 33, 33, 1), (2, 33, 33, 1), (2, 33, 33, 1)])
    """

    classifier: Classifier = CNN((32, 32, 32), (3, 3, 3), (400,), pool_last=False)  # noqa: RUF009
    filters: tuple[int, ...] = (20, 20, 20)
    kernel_sizes: tuple[int, ...] = (3, 3, 3)
    units: int = 256
    steps: int = 3
    shrink: int = 2
    transform: Transform = Affine()
    output_shape: tuple[int, int] = (33, 33)
    padding_mode: Literal["zeros", "border", "reflection", "wrap"] = "zeros"

    def __post_init__(self) -> None:
        """Checks sizes."""
        check_sequences(filters=self.filters, kernel_sizes=self.kernel_sizes)
        check_positive(units=self.units, steps=self.steps, output_shape=self.output_shape)

    def build(
        self, input_shape: tuple[int, ...], num_outputs: int, *, rngs: nnx.Rngs
    ) -> "RecurrentNetwork":
        """Returns the network, freshly initialised.

        Args:
            input_shape: ``(h, w, c)``, without batch.
            num_outputs: number of logits of all steps together (paper: 3 of 10 classes).
            rngs: random streams of Flax.

        Raises:
            ValueError: for images too small for the convolutions, or a number of outputs that is no
                multiple of the steps.
        """
        classes, rest = divmod(num_outputs, self.steps)
        if rest:
            raise ValueError(
                f"steps={self.steps} does not fit; {num_outputs} outputs need a number of steps "
                "that divides them, one for each label of a sequence."
            )
        localization = RecurrentLocalization(
            input_shape,
            self.transform,
            filters=self.filters,
            kernel_sizes=self.kernel_sizes,
            units=self.units,
            steps=self.steps,
            shrink=self.shrink,
            rngs=rngs,
        )
        transformer = SpatialTransformer(
            localization, self.transform, shape=self.output_shape, padding_mode=self.padding_mode
        )
        shape = (*self.output_shape, input_shape[-1])
        classifier = build_classifier(self.classifier, shape, classes, rngs, passes_keys=True)
        return RecurrentNetwork(classifier, transformer)


class RecurrentNetwork(nnx.Module):
    """A transformer whose localization network gives a theta for each step, and a classifier.

    Args:
        classifier: glimpses -> logits.
        transformer: its localization network returns theta ``(steps, b, p)``.
    """

    def __init__(self, classifier: Callable[[Array], Array], transformer: SpatialTransformer):
        self.transformer = transformer
        self.classifier = classifier

    def forward(
        self, x: Float[Array, "b h w c"], *, keys: Key[Array, "b"] | None = None
    ) -> Prediction:
        """Returns the logits of the first step, the second, ..., and what each step read.

        Args:
            x: images.
            keys: a key for each image, which decides what dropout drops, anew at each step; None
                drops nothing.
        """
        warp = self.transformer.warp(x)  # its arrays are (steps, b, ...): the image is broadcast
        steps, b = warp.features.shape[:2]
        with jax.named_scope("classifier"):
            glimpses = warp.features.reshape(steps * b, *warp.features.shape[2:])
            if keys is not None:
                split = functools.partial(random.split, num=steps)
                keys = jax.vmap(split, out_axes=1)(keys).reshape(-1)
            logits = classify(self.classifier, glimpses, keys)
            logits = jnp.moveaxis(logits.reshape(steps, b, -1), 0, 1).reshape(b, -1)
        warps = (Warp(*(array[step] for array in warp)) for step in range(steps))
        return Prediction(logits, tuple(warps))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b k"]:
        """Returns the logits."""
        return self.forward(x).logits


class RecurrentLocalization(nnx.Module):
    """Convolutions, a gated recurrent unit, and theta from its state at each step.

    With the same features ``u`` as input of every step and ``h = 0`` before the first one,

        r, z = sigmoid(W u + U h),  n = tanh(W u + r (U h)),  h <- (1 - z) n + z h,

    each with weights ``W``, ``U`` and a bias of its own.

    Args:
        input_shape: ``(h, w, c)``, without batch.
        transform: what theta parameterises.
        filters: filters of each convolution.
        kernel_sizes: side of each convolution's kernel.
        units: units of the recurrent network.
        steps: number of steps.
        shrink: average this many pixels along each axis first.
        rngs: random streams of Flax.

    Raises:
        ValueError: if an image is too small for its convolution, or a size is not positive.

    References:
        Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical
        machine translation", 2014.

    Example:
        >>> net = RecurrentLocalization((32, 32, 1), Affine(), filters=(8,), kernel_sizes=(3,),
        ...                             units=16, steps=3, rngs=nnx.Rngs(0))
        >>> net(jnp.ones((5, 32, 32, 1))).shape
        (3, 5, 6)
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        transform: Transform,
        *,
        filters: tuple[int, ...],
        kernel_sizes: tuple[int, ...],
        units: int,
        steps: int,
        shrink: int = 1,
        rngs: nnx.Rngs,
    ):
        check_positive(units=units, steps=steps)
        self.steps = steps
        self.features = ConvolutionalFeatures(
            input_shape,
            filters=filters,
            kernel_sizes=kernel_sizes,
            shrink=shrink,
            pool_last=False,
            rngs=rngs,
        )
        self.input = nnx.Linear(math.prod(self.features.output_shape), 3 * units, rngs=rngs)
        self.recurrent = nnx.Linear(
            units, 3 * units, kernel_init=nnx.initializers.orthogonal(), rngs=rngs
        )
        self.head = parameter_head(units, transform, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "steps b p"]:
        """Returns theta of each step."""
        from_input = self.input(flatten(self.features(x)))  # the same at each step
        state = jnp.zeros_like(from_input, shape=(len(x), from_input.shape[-1] // 3))
        thetas = []
        for _ in range(self.steps):
            reset, update, new = jnp.split(from_input, 3, axis=-1)
            reset_h, update_h, new_h = jnp.split(self.recurrent(state), 3, axis=-1)
            reset, update = jax.nn.sigmoid(reset + reset_h), jax.nn.sigmoid(update + update_h)
            new = jnp.tanh(new + reset * new_h)
            state = (1 - update) * new + update * state
            thetas.append(self.head(state))
        return jnp.stack(thetas)
