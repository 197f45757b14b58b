"""How long a replica has observed the same state, by its own monotonic clock.

No times are written anywhere: a replica that restarts, or that could not observe for a while, waits
again, which costs only time, and no two clocks are ever compared.
"""

from __future__ import annotations

from metrics_apiserver.certs import rotation
from metrics_apiserver.certs.rotation import View, Waited


class Observations:
    """What has been observed without interruption.

    Args:
        longest_gap: seconds between two observations after which all waits start again.
    """

    def __init__(self, longest_gap: float) -> None:
        self._longest_gap = longest_gap
        self._last = 0.0
        self._trusted: dict[str, float] = {}
        self._serving: bytes | None = None
        self._serving_since = 0.0

    def observe(self, view: View, clock: float) -> None:
        """Adds one observation, made at `clock` monotonic seconds."""
        if clock - self._last > self._longest_gap:
            self._trusted, self._serving = {}, None
        self._last = clock
        trusted = rotation.trusted_by_all(view)
        self._trusted = {one: self._trusted.get(one, clock) for one in trusted}
        serving = view.material.serving
        certificate = serving.certificate if serving is not None else None
        if certificate != self._serving:
            self._serving, self._serving_since = certificate, clock

    def waited(self, seconds: float, clock: float) -> Waited:
        """What has been so for that long."""
        return Waited(
            frozenset(one for one, since in self._trusted.items() if clock - since >= seconds),
            self._serving is not None and clock - self._serving_since >= seconds,
        )
