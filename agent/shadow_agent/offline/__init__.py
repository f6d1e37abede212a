"""Composition roots for captures in files: no kernel, no daemon, and no privilege to begin with."""
