"""Data | Gap | End → request and response messages → Exchange, without I/O.

`Conversation` reads one flow: requests one way, responses the other, paired in order. Bodies
stream; nothing waits for a whole body. `Assembler` is a `FlowTable` with one `Conversation` per
flow: `Segment`s in, events out.
"""
