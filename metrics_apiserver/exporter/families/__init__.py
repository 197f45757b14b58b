"""The series that are served, one module for each family of names."""
