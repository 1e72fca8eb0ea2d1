"""Mutants of the alert rules: each a small fault of a rule that some test has to notice."""
