"""Figures and the report: pure functions of the records; importing JAX here is an error."""
