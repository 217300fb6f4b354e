"""Attention backends of Inferix."""
