"""Unified kernel images (UKI) and boot events: the PCRs of an EC2 instance."""
