"""Composition root: supervisor, workers, signals, privilege drop, control socket."""
