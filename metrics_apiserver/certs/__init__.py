"""Certificates: verify a client's chain, serve and reload our pair, issue, rotate, publish pairs.

The only room that imports `cryptography`. Refuses half-written, mismatched or expired material and
keeps what it had; a private key is never on disk with a mode wider than 0600 and never in a
message.
"""
