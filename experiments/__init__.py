"""One room an experiment: a file, or a folder whose __init__.py is its composition."""
