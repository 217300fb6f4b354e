"""MAGI-1 with the weights that its authors have quantised. Importing this package loads no torch."""
