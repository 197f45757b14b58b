"""Bulk evaluation: one query for all readers of a rule, where a proof shows it is the same."""
