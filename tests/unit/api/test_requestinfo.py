"""The tables of requestinfo_test.go, then what this parser refuses and Go does not."""

from __future__ import annotations

import pytest

from metrics_apiserver.api import requestinfo
from metrics_apiserver.base import errors

CUSTOM = "/apis/custom.metrics.k8s.io/v1beta1"
EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
RESOURCE = "/apis/metrics.k8s.io/v1beta1"


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        ("GET", "/api/v1/namespaces", ("list", "", "", "namespaces", "", "")),
        ("GET", "/api/v1/namespaces/other", ("get", "", "other", "namespaces", "", "other")),
        ("GET", "/api/v1/namespaces/other/pods", ("list", "", "other", "pods", "", "")),
        ("GET", "/api/v1/namespaces/other/pods/foo", ("get", "", "other", "pods", "", "foo")),
        ("HEAD", "/api/v1/namespaces/other/pods/foo", ("get", "", "other", "pods", "", "foo")),
        ("GET", "/api/v1/pods", ("list", "", "", "pods", "", "")),
        ("HEAD", "/api/v1/pods", ("list", "", "", "pods", "", "")),
        ("GET", "/api/v1/proxy/namespaces/o/pods/foo", ("proxy", "", "o", "pods", "", "foo")),
        ("GET", "/api/v1/proxy/namespaces/o/pods/foo/a/b", ("proxy", "", "o", "pods", "", "foo")),
        ("GET", "/api/v1/watch/pods", ("watch", "", "", "pods", "", "")),
        ("GET", "/api/v1/pods?watch=true", ("watch", "", "", "pods", "", "")),
        ("GET", "/api/v1/pods?watch=false", ("list", "", "", "pods", "", "")),
        ("GET", "/api/v1/watch/namespaces/other/pods", ("watch", "", "other", "pods", "", "")),
        ("GET", "/api/v1/namespaces/other/pods?watch=1", ("watch", "", "other", "pods", "", "")),
        ("GET", "/api/v1/namespaces/other/pods?watch=", ("watch", "", "other", "pods", "", "")),
        ("GET", "/api/v1/namespaces/other/pods?watch=0", ("list", "", "other", "pods", "", "")),
        ("GET", "/api/v1/namespaces/o/pods/f/status", ("get", "", "o", "pods", "status", "f")),
        ("GET", "/api/v1/namespaces/o/pods/f/proxy/sub", ("get", "", "o", "pods", "proxy", "f")),
        (
            "PUT",
            "/api/v1/namespaces/o/finalize",
            ("update", "", "o", "namespaces", "finalize", "o"),
        ),
        ("PUT", "/api/v1/namespaces/o/status", ("update", "", "o", "namespaces", "status", "o")),
        ("PATCH", "/api/v1/namespaces/o/pods/foo", ("patch", "", "o", "pods", "", "foo")),
        ("DELETE", "/api/v1/namespaces/o/pods/foo", ("delete", "", "o", "pods", "", "foo")),
        ("POST", "/api/v1/namespaces/o/pods", ("create", "", "o", "pods", "", "")),
        ("OPTIONS", "/api/v1/namespaces/o/pods", ("", "", "o", "pods", "", "")),
        ("DELETE", "/api/v1/nodes", ("deletecollection", "", "", "nodes", "", "")),
        ("DELETE", "/api/v1/namespaces", ("deletecollection", "", "", "namespaces", "", "")),
        ("DELETE", "/apis/e/v1/namespaces/o/pods", ("deletecollection", "e", "o", "pods", "", "")),
        ("POST", "/apis/e/v1/namespaces/o/pods", ("create", "e", "o", "pods", "", "")),
        ("POST", "/apis/e/v1beta3/namespaces/o/pods", ("create", "e", "o", "pods", "", "")),
    ],
)
def test_attributes_as_kube_apiserver_fills_them(
    method: str, target: str, expected: tuple[str, ...]
) -> None:
    info = requestinfo.parse(method, target)
    assert info.is_resource
    where = (info.verb, info.group, info.namespace)
    assert (*where, info.resource, info.subresource, info.name) == expected


@pytest.mark.parametrize(
    ("target", "is_resource"),
    [
        ("/api/version/resource", True),
        ("/apis/group/version/resource/name/subresource", True),
        ("/api/version/resource/name/subresource", True),
        ("/apis/batch/v1/job", True),
        ("/apis/batch/v1/job/foo", True),
        ("/apis/batch/v1/job/foo/scale", True),
        ("/not-api/version/resource", False),
        ("/apis/extensions/v1beta1", False),
        ("/apis/extensions/v1beta1/", False),
        ("/apis/version/resource", False),
        ("/api/version", False),
        ("/api/version/", False),
        ("/api", False),
        ("/", False),
    ],
)
def test_resource_or_not(target: str, is_resource: bool) -> None:
    info = requestinfo.parse("GET", target)
    assert info.is_resource is is_resource
    if not is_resource:
        assert info.verb == "get"
        assert info.path == target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            f"{CUSTOM}/namespaces/default/pods/web-0/foo",
            ("get", "pods", "foo", "web-0", "default"),
        ),
        (f"{CUSTOM}/namespaces/default/pods/*/foo", ("get", "pods", "foo", "*", "default")),
        (f"{CUSTOM}/namespaces/default/pods/%2A/foo", ("get", "pods", "foo", "*", "default")),
        (
            f"{CUSTOM}/namespaces/default/jobs.batch/*/foo",
            ("get", "jobs.batch", "foo", "*", "default"),
        ),
        (f"{CUSTOM}/nodes/*/foo", ("get", "nodes", "foo", "*", "")),
        (f"{CUSTOM}/namespaces/default/metrics/foo", ("get", "metrics", "", "foo", "default")),
        (f"{EXTERNAL}/namespaces/default/queue_depth", ("list", "queue_depth", "", "", "default")),
        (f"{RESOURCE}/namespaces/default/pods", ("list", "pods", "", "", "default")),
        (f"{RESOURCE}/nodes/n1", ("get", "nodes", "", "n1", "")),
        (f"{CUSTOM}/namespaces/*/metrics/foo", ("get", "metrics", "", "foo", "*")),
    ],
)
def test_attributes_of_the_metrics_groups(target: str, expected: tuple[str, ...]) -> None:
    info = requestinfo.parse("GET", target)
    assert (info.verb, info.resource, info.subresource, info.name, info.namespace) == expected


@pytest.mark.parametrize(
    ("query", "verb", "name"),
    [
        ("", "list", ""),
        ("fieldSelector=metadata.name=name1", "list", "name1"),
        ("fieldSelector=metadata.name%3D%3Dname1", "list", "name1"),
        ("watch=true&fieldSelector=metadata.name=name1", "watch", "name1"),
        ("fieldSelector=foo=bar&labelSelector=baz=qux", "list", ""),
        ("fieldSelector=metadata.name=name1,foo", "list", ""),
        ("fieldSelector=metadata.name=name1,foo&watch=true", "watch", ""),
        ("fieldSelector=metadata.name=foo&fieldSelector=metadata.name=bar", "list", "foo"),
        ("fieldSelector=metadata.name!=foo", "list", ""),
        ("fieldSelector=metadata.name=b,metadata.name=a", "list", ""),
        ("fieldSelector=metadata.name=a,metadata.name=a", "list", "a"),
        ("fieldSelector=,metadata.name=a,", "list", "a"),
        ("fieldSelector=metadata.name=a%5C%2Cb", "list", "a,b"),
        ("fieldSelector=metadata.name=a%5C", "list", ""),
        ("fieldSelector=metadata.name=a%5Cx", "list", ""),
        ("fieldSelector=metadata.name=a=b", "list", ""),
        ("fieldSelector=metadata.name=..", "list", ""),
        ("fieldSelector=metadata.name=a%2Fb", "list", ""),
    ],
)
def test_field_selector_pins_the_name(query: str, verb: str, name: str) -> None:
    info = requestinfo.parse("GET", f"/apis/group/version/resource?{query}")
    assert (info.verb, info.name) == (verb, name)


def test_selectors_are_kept_raw() -> None:
    info = requestinfo.parse(
        "GET", f"{CUSTOM}/namespaces/a/pods/*/m?labelSelector=a%3Db+c&fieldSelector=x%3Dy"
    )
    assert info.label_selector == "a=b c"
    assert info.field_selector == "x=y"


@pytest.mark.parametrize(
    "target",
    [
        "",
        "*",
        "apis",
        "http://host/apis",
        "https://host/readyz",
        "host:443",
        "//",
        "//nodes/*/m",
        "/apis//v1",
        f"{CUSTOM}/namespaces//pods/x/m",
        f"{CUSTOM}/nodes/*/m//",
        f"{CUSTOM}/namespaces/a%2Fb/pods/x/m",
        f"{CUSTOM}/namespaces/prod%2Fpods/x/queue_sum/y",
        f"{CUSTOM}/namespaces/a%252Fb/pods/x/m",
        f"{CUSTOM}/namespaces/default/pods/..%2F..%2Fprod/queue_sum",
        f"{CUSTOM}/namespaces/a/pods/%2e%2e/m",
        f"{CUSTOM}/namespaces/a/pods/./m",
        f"{CUSTOM}/namespaces/a/pods/../m",
        f"{CUSTOM}/namespaces/a/pods/%00/m",
        f"{CUSTOM}/namespaces/a/pods/%0a/m",
        f"{CUSTOM}/namespaces/a/pods/%7f/m",
        f"{CUSTOM}/namespaces/a/pods/%C2%85/m",
        f"{CUSTOM}/namespaces/a/pods/%C0%AF/m",
        f"{CUSTOM}/namespaces/a/pods/%ED%A0%80/m",
        f"{CUSTOM}/namespaces/a/pods/%zz/m",
        f"{CUSTOM}/namespaces/a/pods/%4/m",
        f"{CUSTOM}/namespaces/a/pods/%/m",
        f"{CUSTOM}/namespaces/a/pods/a\\b/m",
        f"{CUSTOM}/namespaces/a/pods/a%5Cb/m",
        f"{CUSTOM}/namespaces/a/pods/x/m#frag",
        "/readyz#x",
        "/healthz/../apis",
        "/livez%2f..",
        "/a b",
        "/\x01",
        "/é",
        "/\udce9",
        "/apis/g/v/watch",
        "/api/v1/proxy",
        "/readyz?a=b;c=d",
        "/readyz?labelSelector=a%3Db;c",
        "/readyz?a=%zz",
        "/readyz?%zz=1",
        "/readyz?a=%C0%AF",
        "/readyz?a=1#frag",
    ],
)
def test_what_two_parsers_could_read_differently_is_refused(target: str) -> None:
    with pytest.raises(errors.BadRequest):
        requestinfo.parse("GET", target)


def test_injection_text_in_a_name_is_a_name_and_nothing_else() -> None:
    info = requestinfo.parse(
        "GET",
        f"{CUSTOM}/namespaces/prod/pods/x%22%7D%20or%20%7B__name__%3D~%22.%2B%22%7D%20%23/queue_sum",
    )
    assert info.name == 'x"} or {__name__=~".+"} #'
    assert info.resource_parts == ("namespaces", "prod", "pods", info.name, "queue_sum")


def test_one_trailing_slash_stays_in_the_path_and_makes_no_segment() -> None:
    info = requestinfo.parse("GET", f"{CUSTOM}/nodes/*/m/")
    assert info.resource_parts == ("nodes", "*", "m")
    assert info.path == f"{CUSTOM}/nodes/*/m/"
    assert requestinfo.parse("GET", "/readyz/").path == "/readyz/"


def test_the_path_for_a_review_is_the_decoded_one() -> None:
    assert requestinfo.parse("GET", "/ready%7A").path == "/readyz"
    assert requestinfo.parse("POST", "/metrics").verb == "post"


def test_semicolon_is_one_character_of_a_segment() -> None:
    assert requestinfo.parse("GET", "/a;b=c/d").parts == ("a;b=c", "d")


def test_first_value_of_a_repeated_parameter_counts() -> None:
    info = requestinfo.parse("GET", "/x?a=1&a=2&&b&c=%C3%A9")
    assert dict(info.query) == {"a": "1", "b": "", "c": "é"}
    assert dict(info.repeated) == {"a": ("1", "2")}
    assert requestinfo.parse_query("a=1&a=2")["a"] == ["1", "2"]


def test_the_query_cannot_be_changed() -> None:
    info = requestinfo.parse("GET", "/x?a=1")
    with pytest.raises(TypeError):
        info.query["a"] = "2"  # type: ignore[index]  # the point of the test
