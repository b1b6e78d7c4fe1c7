"""Dagster and nothing else: what runs when, over the packages that compute."""
