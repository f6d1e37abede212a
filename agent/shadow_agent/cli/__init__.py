"""The command line: one file per command; flags → Config → run → exit code, no logic."""
