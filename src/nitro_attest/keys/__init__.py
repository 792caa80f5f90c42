"""Public keys in attested documents, and encryption to them."""
