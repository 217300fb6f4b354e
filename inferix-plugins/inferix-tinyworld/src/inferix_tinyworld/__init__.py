"""A small world model with known physics, trained from scratch and shipped with its weights."""
