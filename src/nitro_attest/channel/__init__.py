"""Connections to an enclave that are attested before the application sends its first byte."""
