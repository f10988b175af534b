"""The machine: meshes, steps, populations, checkpoints."""
