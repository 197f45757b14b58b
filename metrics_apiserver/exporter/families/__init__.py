"""The metric families that are served, one module for each group of names."""
