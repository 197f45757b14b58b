"""Loops that decide: certificates in a Secret, trust from files, the standalone identity.

Each reconciles what should be with what is, one turn at a time; only `app` runs the loops.
"""
