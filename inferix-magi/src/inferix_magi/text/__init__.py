"""Prompts to embeddings, and the learned tokens beside them. Importing this package loads no torch."""
