from __future__ import annotations

import gzip
import os

import orjson
import pytest
import yaml
from multidict import CIMultiDict

from metrics_apiserver.api import encoding
from metrics_apiserver.api.encoding import JSON, YAML, Encoded, Representation
from metrics_apiserver.base import errors

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
TABLE_BETA = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"


def negotiate(
    accept: str | None, *, tables: bool = False, agent: str = "", pretty: str = ""
) -> Representation:
    headers = CIMultiDict({"User-Agent": agent})
    if accept is not None:
        headers["accept"] = accept
    return encoding.negotiate(headers, {"pretty": pretty} if pretty else {}, tables=tables)


@pytest.mark.parametrize(
    ("accept", "tables", "expected"),
    [
        (None, False, Representation(JSON)),
        ("", False, Representation(JSON)),
        (" ", False, Representation(JSON)),
        ("*/*", False, Representation(JSON)),
        ("application/*", False, Representation(JSON)),
        ("application/json", False, Representation(JSON)),
        ("Application/JSON; charset=utf-8", False, Representation(JSON)),
        ("application/vnd.kubernetes.protobuf, */*", False, Representation(JSON)),
        ("application/vnd.kubernetes.protobuf,application/json", False, Representation(JSON)),
        ("application/json, */*", False, Representation(JSON)),
        ("application/yaml", False, Representation(YAML)),
        ("application/json;q=0.5,application/yaml", False, Representation(YAML)),
        ("application/json;q=odd,application/yaml", False, Representation(JSON)),
        ("application/json;pretty=1", False, Representation(JSON, pretty=True)),
        (f"{TABLE},{TABLE_BETA},application/json", False, Representation(JSON)),
        (f"{TABLE},{TABLE_BETA},application/json", True, Representation(JSON, "v1")),
        (f"{TABLE_BETA},application/json", True, Representation(JSON, "v1beta1")),
        ("application/yaml;as=Table;v=v1;g=meta.k8s.io", True, Representation(YAML, "v1")),
        ("application/json;stream=watch,application/yaml", False, Representation(YAML)),
        ("x/y," * 200 + JSON, False, Representation(JSON)),
    ],
)
def test_negotiation(accept: str | None, tables: bool, expected: Representation) -> None:
    assert negotiate(accept, tables=tables) == expected


@pytest.mark.parametrize(
    ("accept", "tables"),
    [
        ("application/vnd.kubernetes.protobuf", False),
        ("text/html", True),
        (TABLE, False),
        ("application/json;as=Table;v=v2;g=meta.k8s.io", True),
        ("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", True),
        ("application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", False),
        ("application/json;q=0", False),
        ("application/json;q=nan", False),
        (",;,", False),
    ],
)
def test_what_no_clause_allows_is_406(accept: str, tables: bool) -> None:
    with pytest.raises(errors.NotAcceptable, match="only the following media types"):
        negotiate(accept, tables=tables)


@pytest.mark.parametrize(
    ("agent", "pretty", "expected"),
    [
        ("", "", False),
        ("curl/8.0", "", True),
        ("Wget/1.2", "", True),
        ("Mozilla/5.0 (X11)", "", True),
        ("kubectl/v1.36", "", False),
        ("", "true", True),
        ("", "1", True),
        ("curl/8.0", "false", False),
        ("curl/8.0", "no", False),
    ],
)
def test_pretty(agent: str, pretty: str, expected: bool) -> None:
    assert negotiate(None, agent=agent, pretty=pretty).pretty is expected
    assert negotiate(TABLE, tables=True, agent=agent, pretty=pretty) == Representation(
        JSON, "v1", expected
    )


def test_encodings() -> None:
    document = {"kind": "X", "items": [{"value": "36", "window": None, "n": "ü"}]}
    assert encoding.encode(document) == Encoded(orjson.dumps(document))
    pretty = encoding.encode(document, Representation(JSON, pretty=True))
    assert pretty.body.startswith(b'{\n  "kind": "X"')
    written = encoding.encode(document, Representation(YAML))
    assert written.content_type == YAML
    assert yaml.safe_load(written.body) == document
    assert "value: '36'" in written.body.decode()


def test_yaml_is_for_small_answers() -> None:
    with pytest.raises(errors.NotAcceptable, match="application/json only"):
        encoding.encode(["x" * 1024] * 1100, Representation(YAML))


async def test_compression_only_for_large_bodies_and_when_asked() -> None:
    small = Encoded(b"x" * encoding.GZIP_FROM_BYTES)
    assert await encoding.compress(small, "gzip") is small
    for size in (encoding.GZIP_FROM_BYTES + 1, 2_000_000):
        large = Encoded(os.urandom(10) * (size // 10 + 1), JSON, 200, (("ETag", '"x"'),))
        plain = await encoding.compress(large, "")
        assert plain.body == large.body
        assert dict(plain.headers) == {"ETag": '"x"', "Vary": "Accept-Encoding"}
        packed = await encoding.compress(large, "deflate, gzip")
        assert gzip.decompress(packed.body) == large.body
        assert dict(packed.headers)["Content-Encoding"] == "gzip"


async def test_a_body_compressed_ahead_is_used() -> None:
    large = Encoded(b"x" * 200_000, gzipped=b"ahead")
    assert (await encoding.compress(large, "gzip")).body == b"ahead"


@pytest.mark.parametrize(
    ("header", "expected"),
    [("gzip", True), ("GZIP;q=0.5", True), ("br, gzip ; q=0", False), ("br", False), ("", False)],
)
async def test_accept_encoding(header: str, expected: bool) -> None:
    answer = await encoding.compress(Encoded(b"x" * 200_000), header)
    assert ("Content-Encoding" in dict(answer.headers)) is expected


def test_gzip_is_stable() -> None:
    assert encoding.gzip(b"x") == encoding.gzip(b"x")


@pytest.mark.parametrize("count", [0, 5000, 5001, 12_345])
def test_a_long_list_written_in_pieces_is_the_same_bytes(count: int) -> None:
    document = {
        "kind": "List",
        "metadata": {},
        "items": [{"n": n, "s": "]}"} for n in range(count)],
    }
    assert encoding.encode(document).body == orjson.dumps(document)


def test_a_list_that_is_not_last_is_written_at_once() -> None:
    document = {"items": list(range(5001)), "kind": "List"}
    assert encoding.encode(document).body == orjson.dumps(document)
