"""Segment → Data | Gap | End: TCP reassembly without I/O.

`FlowTable` takes `Segment`s of any flows in capture order and hands back, per flow, the two
byte streams as items in order: `Data` (bytes), `Gap` (bytes that are lost to us) and `End`.
What does not become an item is counted by name in `SegmentCounts`.
"""
