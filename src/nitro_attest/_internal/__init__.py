"""Helpers that the rest of the package shares; nothing here is public."""
