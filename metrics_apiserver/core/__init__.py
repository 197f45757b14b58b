"""The pure floor: text and values in, values or errors out.

No socket, file, clock, log, task or environment is touched here; what would be logged is
returned as data. Each module can be tested with plain values.
"""
