"""Certificates: verification of chains, the serving pair and its reload, issuing and rotation.

The only package of the server that imports `cryptography`. Half-written, mismatched or expired
material is refused and the last good one kept. A private key is never on disk with a mode wider
than 0600, and never in a message.
"""
