"""The table of DCGM metrics."""

from __future__ import annotations

from metrics_apiserver.exporter import probes, settings
from metrics_apiserver.exporter.families.dcgmtable import NVLINK, TABLE


def test_rows() -> None:
    names = [one.name for one in TABLE]
    assert len(names) == len(set(names))
    assert all(name.startswith(("DCGM_FI_DEV_", "DCGM_FI_PROF_")) for name in names)
    assert {one.group for one in TABLE} - {""} <= set(settings.GROUPS)
    assert NVLINK in names


def test_groups_agree_with_the_probes() -> None:
    """Metrics without a group are read without one, and the other way round."""
    read = {key: probe.group for probe in probes.PROBES for key in probe.keys}
    read |= {one.key: one.group for one in (*probes.FIELDS, *probes.GPM_METRICS)}
    for metric in TABLE:
        if metric.key in read and metric.key != "prof_sm":
            assert read[metric.key] == metric.group, metric.name
