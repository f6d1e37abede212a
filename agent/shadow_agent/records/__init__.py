"""What is kept on disk: the chain of the audit log, and evidence that only a key opens."""
