"""Models as pairs of pure functions."""
