"""A run and its surroundings: work directory, checkpoints, log, progress, devices."""
