"""Releases: built once, gated, brought to the idle colour, switched to step by step, and taken back in seconds."""
