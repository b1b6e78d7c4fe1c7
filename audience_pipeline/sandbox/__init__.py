"""Stand-ins for what the pipeline talks to: three ad platforms, and a shop to take data from."""
