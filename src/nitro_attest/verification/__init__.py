"""Everything that decides about a document, and nothing else.

Read ``verifier.py`` first: one function shows every step from raw bytes to an Attestation.
"""
