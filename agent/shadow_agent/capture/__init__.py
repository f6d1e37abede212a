"""Capture files: bytes of a file → Frame → Segment.

`open_capture` reads pcap and pcapng, plain or gzipped, from a file or a pipe, and gives `Frame`s.
A damaged file gives every frame before the damage and then says, in one line, what broke where.

`Decoder` makes `Segment`s of frames. The common case (Ethernet or Linux cooked, IPv4 without
options, a TCP packet that is whole) is one flat loop in ``hot``; everything else walks through
layers, one small function each, in ``link``, ``network``, ``tunnels`` and their like:

Layer
    A function that reads one header of a `Packet`, moves past it, and names the layer that follows
    or the reason why there is none.
Packet
    One frame on its way through the layers: its bytes, where the next header starts, and where it
    ends on the wire (beyond the bytes where the capture was cut).
Connections
    Which end of a TCP connection is the service, known from ports, a SYN or the first bytes.

What gives no `Segment` is counted by name in `PacketCounts`, the ledger's `packets` line. No bytes
whatever raise anything out of this room but `NotACapture`.
"""
