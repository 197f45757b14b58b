"""`/version` and `/metrics`, and nothing beside."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
import yaml

from metrics_apiserver.api import pages, requestinfo
from metrics_apiserver.api.encoding import Encoded
from metrics_apiserver.base import errors

YAML = {"Accept": "application/yaml"}


def ask(
    target: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    version: str = "1.2.3",
) -> Encoded | None:
    subject = pages.ServerPages(version, lambda: b"a_metric 1.0\n")
    return subject(requestinfo.parse(method, target), headers or {})


def answered(answer: Encoded | None) -> Encoded:
    assert answer is not None
    assert answer.status == 200
    return answer


def test_metrics_are_text() -> None:
    for target in ("/metrics", "/metrics?x=y", "/metrics/"):
        answer = answered(ask(target))
        assert answer.body == b"a_metric 1.0\n"
        assert answer.content_type.startswith("text/plain; version=")
    answered(ask("/metrics", "HEAD"))


@pytest.mark.parametrize(
    ("version", "major", "minor"), [("1.2.3", "1", "2"), ("7", "7", "0"), ("0.1.0+x", "0", "1")]
)
def test_the_version_is_a_kubernetes_version_document(version: str, major: str, minor: str) -> None:
    document = json.loads(answered(ask("/version", version=version)).body)
    assert (document["major"], document["minor"]) == (major, minor)
    assert document["gitVersion"] == f"v{version}"
    assert set(document) == {
        *("major", "minor", "gitVersion", "gitCommit", "gitTreeState"),
        *("buildDate", "goVersion", "compiler", "platform"),
    }
    assert document["platform"].startswith("linux/")


def test_the_version_in_yaml() -> None:
    assert yaml.safe_load(answered(ask("/version", headers=YAML)).body)["gitVersion"] == "v1.2.3"


@pytest.mark.parametrize("path", ["/metrics", "/version"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_they_can_only_be_read(path: str, method: str) -> None:
    with pytest.raises(errors.MethodNotAllowed):
        ask(path, method)


@pytest.mark.parametrize("target", ["/", "/metricsx", "/metrics/x", "/version/x", "/apis"])
def test_other_paths_are_somebody_elses(target: str) -> None:
    assert ask(target) is None
    assert ask(target, "POST") is None


def test_the_paths_are_those_that_are_listed() -> None:
    for path in pages.PATHS:
        answered(ask(path))
