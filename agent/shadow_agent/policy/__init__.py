"""Which exchange may be replayed (pure). Default-deny: what no rule allows is refused by name."""
