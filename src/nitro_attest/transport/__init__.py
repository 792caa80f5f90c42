"""Connections to servers of attestation documents: endpoints, sockets and HTTP answers."""
