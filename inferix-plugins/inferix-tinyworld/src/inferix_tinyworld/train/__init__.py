"""Training of tinyworld's VAE and world model: `python -m inferix_tinyworld.train STAGE …`.

Never imported at run time.
"""
