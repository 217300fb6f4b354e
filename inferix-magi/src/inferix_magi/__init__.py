"""MAGI-1 for Inferix: several blocks in flight at once, each at its own level."""
