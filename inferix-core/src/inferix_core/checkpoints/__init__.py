"""Checkpoints as people have them: what a file or folder holds, and its tensors one by one. This loads no torch.

A package of models describes its weights as a `Family`, behind the hook `inferix_weights`, and reads them with
`inferix_core.checkpoints.loading`.
"""

from inferix_core.checkpoints.family import ACCEPTED_DTYPES, Family, Kind, Release, Shapes, Source, Tokenizer
from inferix_core.checkpoints.opening import Checkpoint, open_checkpoint
from inferix_core.checkpoints.tensors import LazyTensor, Shape

__all__ = [
    "ACCEPTED_DTYPES",
    "Checkpoint",
    "Family",
    "Kind",
    "LazyTensor",
    "Release",
    "Shape",
    "Shapes",
    "Source",
    "Tokenizer",
    "open_checkpoint",
]
