"""Bulk evaluation: one query for every object of a rule, where it is proved equal to exact ones."""
