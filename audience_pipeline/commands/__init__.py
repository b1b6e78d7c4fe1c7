"""The command line, a few lines per command over the packages that do the work."""
