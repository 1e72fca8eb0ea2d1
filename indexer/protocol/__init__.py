"""The consensus rules as pure functions: the same block and state give the same delta, anywhere."""
