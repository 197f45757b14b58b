"""Values for people: a Kubernetes quantity with the unit that the metric's name says it has."""

from __future__ import annotations

from metrics_apiserver.core import quantity

_GIB = 1 << 30
_MIB = 1 << 20


def describe(metric: str, text: str) -> str:
    """`76333m` of `duty_cycle_current` is `76.3 %`; 13747765376 bytes are `12.8 GiB`."""
    value = float(quantity.parse(text))
    name = metric.removesuffix("_current").removesuffix("_over_time")
    if name.endswith("_bytes"):
        return f"{value / _GIB:.1f} GiB" if value >= _GIB else f"{value / _MIB:.1f} MiB"
    if name.endswith("_milliwatts"):
        return f"{value / 1000:.0f} W"
    if name.endswith("_celsius"):
        return f"{value:.0f} °C"
    if name.endswith(("_percent", "duty_cycle")):
        return f"{value:.1f} %"
    return f"{value:.0f}/s" if name.endswith("_qps") else f"{value:.1f}"
