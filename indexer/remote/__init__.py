"""Calls to other programs, each bounded in time and kept away from one that does not answer."""
