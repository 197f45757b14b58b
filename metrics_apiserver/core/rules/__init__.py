"""A rule file: YAML nodes, typed fields, the checks of each part, and the compiled rules."""
