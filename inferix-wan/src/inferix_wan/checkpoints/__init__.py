"""The official files of the Wan family: their tensors, their places, their sources. This loads no torch."""
