"""Requests to the shadow over the separate interface, and what it answers.

``reply`` and ``timeline`` are sans-io. A ``pool`` has a ``connection`` per production flow, which
has requests ``waiting`` and a ``channel`` on one of the ``sockets`` while there is need of one.
"""
