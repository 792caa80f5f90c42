"""Both sides of an enclave: ask the NSM and serve attestation inside, challenge it from outside.

``nsm`` and ``server`` run in the enclave and load neither the C core nor cryptography; ``client``
runs on the parent instance or anywhere behind it. Nothing is imported here, so that one side does
not drag in the other.
"""
