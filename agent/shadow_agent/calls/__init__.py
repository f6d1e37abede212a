"""Outgoing calls of a build: read from the bytes it sent, and compared between two builds.

Nothing of a body or a header's value is kept: of a body its size and a keyed hash, of a query that
there was one.
"""
