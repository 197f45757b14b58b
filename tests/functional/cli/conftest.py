"""A fake kube-apiserver that keeps a Secret and APIServices."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.fakes import certificates
from tests.fakes.kubeapi import FakeKubeAPI


@pytest.fixture
async def kubeapi() -> AsyncIterator[FakeKubeAPI]:
    async with certificates.kubeapi() as fake:
        yield fake
