"""Checkpoints that somebody else pretrained: what they are called in files, and how they become ours and go back."""
