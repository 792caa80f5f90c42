"""Mutation testing of what judges documents: small faults put in, one at a time, and looked for."""
