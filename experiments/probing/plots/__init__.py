"""The figures that this experiment alone draws: pure functions of its findings."""
