"""A fake kube-apiserver that keeps a Secret and APIServices, and a client of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from metrics_apiserver.kube.client import KubeClient
from tests.fakes import certificates
from tests.fakes.kubeapi import FakeKubeAPI


@pytest.fixture
async def kubeapi() -> AsyncIterator[FakeKubeAPI]:
    async with certificates.kubeapi() as fake:
        yield fake


@pytest.fixture
async def client(kubeapi: FakeKubeAPI) -> AsyncIterator[KubeClient]:
    async with KubeClient(kubeapi.config()) as client:
        yield client
