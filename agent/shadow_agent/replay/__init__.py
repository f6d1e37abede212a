"""Requests to the shadow over the separate interface, and what it answers.

``reply`` and ``timeline`` are sans-io; ``connection`` and ``pool`` own sockets and deadlines.
"""
