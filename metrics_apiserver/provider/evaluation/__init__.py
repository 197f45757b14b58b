"""Evaluation of a rule's query: in bulk where that is proved to be the same, exactly otherwise."""
