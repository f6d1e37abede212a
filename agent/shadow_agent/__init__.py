"""Mirrors a live HTTP service's traffic to a shadow build and compares the answers.

The code uses these words, and only these, for what travels along the path of data. Each arrow is
one room, and a room imports only rooms before it::

    Record → Segment → Data | Gap | End → Request, Response → Exchange → Replay → Comparison

Record
    What the kernel tap wrote into a ring: a fixed header and the TCP payload of one packet, or of
    16 KiB of it. The format is ``bpf/record.h``.
Segment
    A decoded record: when, which flow, which direction, sequence numbers, flags, payload.
Data, Gap, End
    What reassembly makes of segments, in order, for one direction of a flow: bytes; the number of
    bytes that are missing for good; how the direction ended.
Request, Response
    HTTP messages, streamed as head, body and end. Nothing waits for a whole body.
Exchange
    One request with the response that production gave it, or the reason why there is none.
Replay
    The same request sent to the candidate, and what came back.
Comparison
    Exchange against replay: status, body, latency.
Pair, Block, Segment of traffic, Gate
    A comparison as a row; the rows of some seconds; a part of them that is judged by itself; a
    limit that the candidate must keep. See ``verdict``.

And these for what they travel through:

Flow
    One production TCP connection, both directions.
Target
    A named attachment: which ports of which interfaces are tapped, and which candidate they go to.
Candidate
    The shadow build under test. Its answers are compared, then dropped.
Link
    What holds the tap on an interface: a TCX link, or a clsact filter on older kernels.
Ring
    The buffer between the tap and one worker.
Shard
    One worker's share of the flows. A flow stays in its shard from record to comparison.
Ledger
    Counters that balance: what leaves the path early leaves under a named reason.
Segment of a verdict
    A group of exchanges that is judged for itself: endpoint, cohort, region. (``segments``, the
    room; a Segment without more words is TCP's.)
Coverage
    How much of what was meant to be compared was compared.
"""

__version__ = "0.1.0"
