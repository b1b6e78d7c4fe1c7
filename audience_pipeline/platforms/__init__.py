"""The three platforms: what each can and allows, and its client."""
