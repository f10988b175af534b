"""Text from named sources, split by document, and batches that are a pure function of (seed, step)."""
