"""Bindings: how a document names the key of a connection, or another key of the enclave."""
