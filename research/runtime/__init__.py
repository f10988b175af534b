"""Around a command: its settings, devices, folder, progress, provenance, and what stands on the disk."""
