"""AWS KMS with enclaves: key policies that require attestation, and answers sealed to an enclave.

``statements`` writes key policy statements and ``lint`` finds the ones that bypass attestation.
Inside an enclave, ``client`` wraps a boto3 client, and ``recipient`` decrypts what KMS encrypted.
"""
