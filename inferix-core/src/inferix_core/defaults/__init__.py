"""The plain components that are always there."""
