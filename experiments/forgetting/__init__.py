"""What tuning costs the text a model came from, method by method."""
