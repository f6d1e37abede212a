"""Exchange × Replay → Comparison (pure)."""
