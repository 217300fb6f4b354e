"""TAEHV, a tiny autoencoder for the latents of Wan 2.1: frames of somewhat less quality in a fraction of the time."""
