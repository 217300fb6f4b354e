"""Checkpoints as people have them: what a file or folder holds, and its tensors one by one. This loads no torch."""
