"""In which order blocks are passed, and at which levels; free of torch."""
