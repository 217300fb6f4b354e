"""Prompts to embeddings, as far as it is the same for every text encoder. Importing this package loads no torch."""
