"""Which latents of a world stay in the cache, and which of them a block sees."""
