"""Data: bundled digits, MNIST and other tensorflow-datasets sets, arrays, folders of images."""

from train.data.dataset import DataError, Dataset
from train.data.lazy import LazyArray
from train.data.sources import Images, load

__all__ = ["DataError", "Dataset", "Images", "LazyArray", "load"]
