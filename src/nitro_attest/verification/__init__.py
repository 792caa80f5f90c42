"""Verification of documents: all code that accepts or rejects them, and no other code.

Read ``verifier.py`` first: one function shows every step from raw bytes to an Attestation.
"""
