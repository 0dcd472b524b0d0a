"""The paper's distortions of MNIST, computed on the device inside jit, a key for each image."""

from train.data.distortions.augmentation import Augmentation as Augmentation
from train.data.distortions.augmentation import Augmented as Augmented
from train.data.distortions.base import Distortion as Distortion
from train.data.distortions.clutter import Cluttered as Cluttered
from train.data.distortions.clutter import NoDistortion as NoDistortion
from train.data.distortions.deformation import Deformation as Deformation
from train.data.distortions.extrusion import Extruded as Extruded
from train.data.distortions.grids import RTS as RTS
from train.data.distortions.grids import Elastic as Elastic
from train.data.distortions.grids import Perspective as Perspective
from train.data.distortions.grids import Perturbed as Perturbed
from train.data.distortions.grids import Rotation as Rotation
