"""What a run is made of: every part that a config file names can be imported from here."""

from train.config.config import Config as Config
from train.config.config import TrainConfig as TrainConfig
from train.data.birds import Birds as Birds
from train.data.distortions import RTS as RTS
from train.data.distortions import Augmentation as Augmentation
from train.data.distortions import Augmented as Augmented
from train.data.distortions import Cluttered as Cluttered
from train.data.distortions import Deformation as Deformation
from train.data.distortions import Elastic as Elastic
from train.data.distortions import Extruded as Extruded
from train.data.distortions import NoDistortion as NoDistortion
from train.data.distortions import Perspective as Perspective
from train.data.distortions import Perturbed as Perturbed
from train.data.distortions import Rotation as Rotation
from train.data.house_numbers import HouseNumbers as HouseNumbers
from train.data.scenes import Scenes as Scenes
from train.data.sources import Images as Images
from train.data.volume import BrainVolume as BrainVolume
from train.step.optimizer import SGD as SGD
from train.step.optimizer import Adam as Adam
from train.step.optimizer import Constant as Constant
from train.step.optimizer import Cosine as Cosine
from train.step.optimizer import Linear as Linear
from train.step.optimizer import Milestones as Milestones
from train.step.optimizer import Staircase as Staircase
from train.tasks.addition import Addition as Addition
from train.tasks.classification import Classification as Classification
from train.tasks.classification import CrossEntropy as CrossEntropy
from train.tasks.co_localization import CoLocalization as CoLocalization
from train.tasks.registration import Registration as Registration
from train.tasks.sequence import Sequence as Sequence
from train.tasks.similarity import CrossCorrelation as CrossCorrelation
from train.tasks.similarity import SquaredError as SquaredError

DataConfig = Images
"""The name of `Images` in earlier versions."""
