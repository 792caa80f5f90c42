"""Enclave image files (EIF): layout, signature and resulting PCRs."""
