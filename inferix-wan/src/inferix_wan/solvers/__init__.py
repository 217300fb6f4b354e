"""How latents move from noise to clean: schedules of levels, update rules, and the arithmetic of flow matching."""
