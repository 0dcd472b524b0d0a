"""Names by which the command line replaces a part, as in ``--model.transform tps``.

A table is found by the name of the field that holds the part.
"""

from typing import Any

import stn_jax as stn
from stn_jax.models import (
    CNN,
    FCN,
    PAPER,
    CoLocalizer,
    ConvolutionalLocalizer,
    FullyConnectedLocalizer,
    GeometricPredictor,
    InverseCompositionalSTN,
    ParallelSTN,
    PartNet,
    Projection,
    RecurrentSTN,
    RegistrationNet,
    StridedLocalizer,
    TutorialNet,
)
from train.data.distortions import (
    RTS,
    Augmentation,
    Augmented,
    Cluttered,
    Deformation,
    Elastic,
    Extruded,
    NoDistortion,
    Perspective,
    Perturbed,
    Rotation,
)
from train.step.optimizer import SGD, Adam, Constant, Cosine, Linear, Milestones, Staircase
from train.tasks.addition import Addition
from train.tasks.classification import Classification, CrossEntropy
from train.tasks.co_localization import CoLocalization
from train.tasks.registration import Registration
from train.tasks.sequence import Sequence
from train.tasks.similarity import CrossCorrelation, SquaredError

NAMES: dict[str, dict[str, Any]] = {
    "model": PAPER
    | {
        "2xst_fcn": ParallelSTN(),
        "co_localizer": CoLocalizer(),
        "ic_stn": InverseCompositionalSTN(),
        "parts": PartNet(),
        "rnn_spn": RecurrentSTN(),
        "tutorial": TutorialNet(),
        "registration": RegistrationNet(),
    },
    "classifier": {"fcn": FCN(), "cnn": CNN(), "projection": Projection()},
    "localization": {
        "fc": FullyConnectedLocalizer(),
        "conv": ConvolutionalLocalizer(),
        "strided": StridedLocalizer(),
        "predictor": GeometricPredictor(),
    },
    "transform": {
        "affine": stn.Affine(),
        "affine_3d": stn.Affine(ndim=3),
        "projective": stn.Projective(),
        "tps": stn.ThinPlateSpline((4, 4)),
        "attention": stn.Attention(),
        "translation": stn.Translation(),
        "similarity": stn.Similarity(),
        "rigid": stn.Rigid(),
        "diffeomorphic": stn.AffineDiffeomorphic(),
        "flow": stn.Flow((4, 4), align_corners=True),
        "velocity": stn.Velocity((8, 8), align_corners=True),
    },
    "distortion": {
        "none": NoDistortion(),
        "R": Rotation(),
        "RTS": RTS(),
        "P": Perspective(),
        "E": Elastic(),
        "TC": Cluttered(),
        "perturbed": Perturbed(),
        "augmentation": Augmentation(),
        "augmented": Augmented(),
        "deformation": Deformation(),
        "extruded": Extruded(),
    },
    "task": {
        "classification": Classification(),
        "addition": Addition(),
        "sequence": Sequence(),
        "co_localization": CoLocalization(),
        "registration": Registration(),
    },
    "similarity": {"ncc": CrossCorrelation(), "mse": SquaredError()},
    "loss": {"cross_entropy": CrossEntropy()},
    "optim": {"adam": Adam(), "sgd": SGD()},
    "schedule": {
        "constant": Constant(),
        "cosine": Cosine(),
        "linear": Linear(),
        "step": Staircase(),
        "milestones": Milestones(),
    },
}
