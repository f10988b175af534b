"""Lowlands: what low-rank fine-tuning is, measured. Imports only go down; see docs/design.md for the floors."""
