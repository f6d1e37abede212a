"""The only room that knows BPF and netlink: load, attach, rings, control page, counters, features.

Everything after loading works on file descriptors and does not know which loader ran.
"""
