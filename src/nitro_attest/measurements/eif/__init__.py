"""Enclave image files (EIF): layout, signature and the PCRs that they lead to."""
