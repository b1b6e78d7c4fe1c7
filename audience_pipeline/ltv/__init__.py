"""Customer lifetime value: what customers will have spent, how sure that is, and how it turned out."""
