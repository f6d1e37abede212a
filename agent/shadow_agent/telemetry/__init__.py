"""What the agent knows about itself, counted so that nothing is lost in silence.

*Ledger*: counters that balance, one identity per line.  *Reason*: the closed set of names under
which something leaves the path early.  *Tally*: one worker's running totals over its comparisons.
*Snapshot*: a tally and a ledger at one instant, as it travels from an unprivileged worker to the
supervisor, which trusts none of it.  *Summary*: the one object a run ends with.

Only ``exporter`` imports prometheus_client; only ``progress``, ``render`` and ``terminal`` (and
``summary`` through them) import rich.  Everything else is pure: no sockets, clocks or logging;
time is an argument.
"""
