"""Floor 3, the machine's surroundings: settings, devices, the workdir, progress, and the running of stages and populations."""
