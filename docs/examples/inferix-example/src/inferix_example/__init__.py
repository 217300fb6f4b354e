"""A pond whose waves are computed, and a KV policy of landmarks: a plugin for Inferix to learn from."""
