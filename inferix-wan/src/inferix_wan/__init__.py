"""The Wan 2.1 family for Inferix: the causal transformer, the VAE, and the Self Forcing scheduler."""
