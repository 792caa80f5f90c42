"""Both sides of attestation with an enclave: the server inside it, and the client outside.

``nsm`` and ``server`` run in the enclave and load neither the C core nor cryptography. ``client``
runs on the parent instance, or anywhere that reaches the enclave through a proxy. Importing this
package imports none of them, so that one side does not load the other.
"""
