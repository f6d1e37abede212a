"""Which group of requests an exchange belongs to: what a verdict is given for, one by one.

Bounded, whatever clients send: what is over a limit is ``other``, and counted.
"""
