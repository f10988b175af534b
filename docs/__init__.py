"""What the pages show of runs, and the command that remakes it."""
