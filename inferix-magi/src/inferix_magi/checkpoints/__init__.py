"""The official files of MAGI-1: their tensors, their places, their sources. This loads no torch."""
