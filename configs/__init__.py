"""One file an experiment: a runnable document. What all share is in base.py."""
