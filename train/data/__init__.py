"""Data: bundled digits, MNIST and other tensorflow-datasets sets, arrays, folders of images."""

from train.data.dataset import DataError, Dataset
from train.data.sources import load

__all__ = ["DataError", "Dataset", "load"]
