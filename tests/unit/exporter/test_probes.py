"""The table of values that are read from a GPU."""

from __future__ import annotations

from types import SimpleNamespace

from metrics_apiserver.exporter import probes
from metrics_apiserver.exporter.probes import ReadInterval


def test_each_key_has_one_source() -> None:
    keys = [key for probe in probes.PROBES for key in probe.keys]
    keys += [one.key for one in (*probes.FIELDS, *probes.GPM_METRICS)] + list(probes.DERIVED)
    assert len(keys) == len(set(keys))
    numbers = [one.number for one in probes.FIELDS]
    assert len(numbers) == len(set(numbers))


def test_ranges_are_of_keys_that_exist() -> None:
    keys = {key for probe in probes.PROBES for key in probe.keys}
    keys |= {one.key for one in (*probes.FIELDS, *probes.GPM_METRICS)}
    assert probes.RANGES.keys() <= keys


def test_the_call_that_waits_in_the_driver_is_not_used() -> None:
    assert all("Throughput" not in probe.call for probe in probes.PROBES)


def test_picks() -> None:
    picks = {probe.keys[0]: probe.pick for probe in probes.PROBES}
    assert picks["gpu_util"](SimpleNamespace(gpu=5, memory=6)) == (5, 6)
    assert picks["enc_util"]([7, 166667]) == (7,)
    assert picks["power_milliwatts"](9) == (9,)
    features = [SimpleNamespace(featureState=n) for n in (0, 2, 9)]
    found = SimpleNamespace(gridLicensableFeatures=features, licensableFeaturesCount=1)
    assert picks["vgpu_license"](found) == (0,)
    found.licensableFeaturesCount = 2
    assert picks["vgpu_license"](found) == (1,)


def test_utilisation_is_read_every_round() -> None:
    intervals = {probe.keys[0]: probe.interval for probe in probes.PROBES}
    assert intervals["gpu_util"] is ReadInterval.FAST
    assert intervals["pcie_replay"] is ReadInterval.SLOW
