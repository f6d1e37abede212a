"""Whether pairs get lost on one side: counts that a coin must explain."""

from __future__ import annotations

import math

# The prior's weight: as so many tosses of a fair coin (Beta(a, a)). Large, since what is looked
# for is a small bias in many pairs.
_PRIOR = 100.0
_MOST = 700.0  # e to that is still a float


def one_sided(heads: int, tails: int) -> float:
    """The Bayes factor of a biased coin against a fair one; it may be looked at at any time.

    Which build gets a request first is drawn for each. Pairs that are there must be half and half;
    when they are not, losing a pair has to do with who was first, and what is left misleads.
    """
    if not heads + tails:
        return 1.0
    log = (
        math.lgamma(_PRIOR + heads)
        + math.lgamma(_PRIOR + tails)
        - math.lgamma(2 * _PRIOR + heads + tails)
        + math.lgamma(2 * _PRIOR)
        - 2 * math.lgamma(_PRIOR)
        + (heads + tails) * math.log(2)
    )
    return math.exp(min(log, _MOST))
