"""One testbed for the demo, the tests and the benchmark.

Words: a *host* is a network namespace with addresses (``client``, ``prod``, ``shadow`` and, behind
a veth of prod, ``service``); a *build* is ``v1`` (production) or ``v2`` (shadow) of the same
service. ``Testbed`` makes the hosts; ``nginx``, ``pyserver``, ``traffic``, ``tools`` and
``capture`` put something on them. All need root.
"""

from tests.testbed.host import Host
from tests.testbed.process import Process
from tests.testbed.signals import Terminated
from tests.testbed.sweep import leftovers, sweep
from tests.testbed.topology import Testbed
from tests.testbed.wait import NotYet, eventually

__all__ = [
    "Host",
    "NotYet",
    "Process",
    "Terminated",
    "Testbed",
    "eventually",
    "leftovers",
    "sweep",
]
