"""Rates from NVML's byte counters: NVLink traffic, and PCIe traffic where GPM does not report it.

A counter that decreased has wrapped or was reset; there is no rate for that round.
"""

from __future__ import annotations

from collections.abc import Mapping


class Rates:
    """Keeps the counters of the previous sampling round."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, float]] = {}

    def update(self, values: Mapping[str, float], now: float) -> dict[str, float | None]:
        """The rates since the previous call, by key; None if there is none.

        `nvlink_bandwidth` is in the unit that DCGM publishes, KiB / 1000 a second.
        """
        sent, received = values.get("nvlink_tx_kib"), values.get("nvlink_rx_kib")
        total = None if sent is None or received is None else sent + received
        link = self._rate("nvlink", total, now)
        return {
            "nvlink_bandwidth": None if link is None else link / 1000,
            "pcie_tx_rate": self._rate("tx", values.get("pcie_tx_count"), now),
            "pcie_rx_rate": self._rate("rx", values.get("pcie_rx_count"), now),
        }

    def _rate(self, name: str, value: float | None, now: float) -> float | None:
        before = self._before.pop(name, None)
        if value is None:
            return None
        self._before[name] = (now, value)
        if before is None or value < before[1] or now <= before[0]:
            return None
        return (value - before[1]) / (now - before[0])
