"""Engine, world and loop: everything that needs torch to run a world."""
