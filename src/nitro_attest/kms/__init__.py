"""AWS KMS and enclaves: key policies that demand an attestation, and answers that only it opens."""
