"""Partitioned lists: rows by their nearest centroid, and four-bit codes of what is left of them there."""

from kukla.partition.model import Partition
from kukla.partition.train import train_partition

__all__ = ["Partition", "train_partition"]
