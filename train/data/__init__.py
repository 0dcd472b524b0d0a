"""Data: bundled digits, MNIST and its like, a user's own arrays or folder of images."""

from train.data.dataset import DataError, Dataset
from train.data.sources import load

__all__ = ["DataError", "Dataset", "load"]
