"""The benchmark: what the agent costs, and what production feels of it.

``python -m tests.bench [PART ...]`` (``make bench``), as root. It asserts nothing: every figure
stands beside the target it is meant to reach. Each part builds its own testbed; see ``parts``.
"""
