"""The settings of the `certs` commands."""

from __future__ import annotations

import pytest

from metrics_apiserver.base import flags
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.options import certs


@pytest.mark.parametrize("place", ["host", ":1", "host:65536", "host:x", "host:" + "9" * 5000])
def test_no_place_to_connect_to(place: str) -> None:
    parsed = flags.parse(certs.INSPECT, [f"--connect={place}"])
    with pytest.raises(ConfigError, match="--connect: must be HOST:PORT"):
        certs.inspect(parsed)
