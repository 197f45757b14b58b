"""Rates from counters."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.rates import Rates


def test_nvlink_is_kib_by_a_thousand_and_second() -> None:
    rates = Rates()
    first = rates.update({"nvlink_tx_kib": 1000, "nvlink_rx_kib": 500}, 10.0)
    assert first["nvlink_bandwidth"] is None
    found = rates.update({"nvlink_tx_kib": 3000, "nvlink_rx_kib": 2500}, 12.0)
    assert found["nvlink_bandwidth"] == pytest.approx(2.0)


def test_a_partial_sum_is_no_sum() -> None:
    rates = Rates()
    rates.update({"nvlink_tx_kib": 1, "nvlink_rx_kib": 1}, 1.0)
    assert rates.update({"nvlink_tx_kib": 9}, 2.0)["nvlink_bandwidth"] is None
    found = rates.update({"nvlink_tx_kib": 9, "nvlink_rx_kib": 9}, 3.0)
    assert found["nvlink_bandwidth"] is None, "a gap starts again"


def test_a_counter_that_wraps_skips_one_round() -> None:
    rates = Rates()
    values = [rates.update({"pcie_tx_count": n}, float(i)) for i, n in enumerate((5, 9, 2, 8))]
    assert [one["pcie_tx_rate"] for one in values] == [None, 4.0, None, 6.0]
    assert values[3]["pcie_rx_rate"] is None


def test_time_that_does_not_pass_gives_no_rate() -> None:
    rates = Rates()
    rates.update({"pcie_rx_count": 1}, 1.0)
    assert rates.update({"pcie_rx_count": 2}, 1.0)["pcie_rx_rate"] is None
