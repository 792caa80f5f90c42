"""Public keys in attested documents, and sealing to them."""
