"""Where pages lie: in a ring of slots, in a pool that worlds share, or partly in host memory."""
