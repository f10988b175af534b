"""Running a sweep: what it starts from, how its cells are laid out, trained as populations, and read."""
