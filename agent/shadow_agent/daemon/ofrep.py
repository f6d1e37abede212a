"""The gate's client of an OFREP service; imported in the gate's own process only."""

from __future__ import annotations

import requests
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.provider import FeatureProvider


class Session(requests.Session):
    """Asks where it was told to and nowhere else.

    A redirect could name what only this host can reach, and would be sent the target's name.
    """

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where to go on: nowhere."""
        if resp.is_redirect:
            raise requests.TooManyRedirects("answers with a redirect, which is not followed")
        return None


def make(url: str, timeout_s: float) -> FeatureProvider:
    """``url`` may hold a user and a password; ``timeout_s``: for one look."""
    made = OFREPProvider(url, timeout=timeout_s)
    made.session = Session()
    return made
