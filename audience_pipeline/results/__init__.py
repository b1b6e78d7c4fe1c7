"""What became of it all: cohorts, and what campaigns brought."""
