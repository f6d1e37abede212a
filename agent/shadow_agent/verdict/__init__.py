"""Pairs → blocks → evidence → go, no-go, inconclusive or invalid. Pure; time is on the data.

A *block* is what came within some seconds. A *gate* is a limit (p99 at most 10 % slower). A
*segment* is a part of the traffic (an endpoint, a cohort, a region, or all of it). For each segment
and gate, evidence grows block by block against "no worse than the limit" and against "worse".
"""
