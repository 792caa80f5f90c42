"""Challenges answered once, and documents accepted once."""
