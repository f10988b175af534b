"""The figures that this experiment alone draws: pure functions of its records and findings."""
