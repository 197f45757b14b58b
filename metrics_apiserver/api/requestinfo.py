"""One request target, parsed once, as kube-apiserver's `RequestInfoFactory` reads it.

The raw path is split on `/` first and each segment is percent-decoded once, as strict UTF-8. What
two parsers could read differently is refused with 400 before any authorisation: empty inner
segments, `.`, `..`, decoded `/`, `%`, backslash, control characters; absolute URIs, fragments and
bytes outside ASCII. Authorisation and handlers read the same RequestInfo, so they cannot
disagree. Follows endpoints/request/requestinfo.go, with one difference: a malformed query pair is
400, where Go drops it silently and a dropped labelSelector would select everything.
"""

from __future__ import annotations

import re
from types import MappingProxyType

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import RequestInfo

_VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
_VERBS_BY_PATH = frozenset({"proxy", "watch"})
_NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})

_RAW = re.compile(r"/[!-\"$-~]*")  # printable ASCII without space and `#`, from a slash on
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_UNSAFE_IN_SEGMENT = re.compile(r"[\x00-\x1f\x7f-\x9f/%\\]")
_FIELD_OPERATOR = re.compile(r"!=|==|=")
_FIELD_TERMS = re.compile(r"(?:\\.?|[^,\\])+", re.DOTALL)


def parse(method: str, raw_target: str) -> RequestInfo:
    """Reads an upper-case method and the request target as it stood on the wire.

    Raises:
        errors.BadRequest: the target cannot be read in exactly one way.
    """
    if _RAW.fullmatch(raw_target) is None:
        raise errors.BadRequest("the request path is not valid")
    raw_path, _, raw_query = raw_target.partition("?")
    parts, trailing = _segments(raw_path)
    path = "/" + "/".join(parts) + ("/" if trailing else "")
    values = parse_query(raw_query)
    query = MappingProxyType({key: texts[0] for key, texts in values.items()})
    if _is_resource(parts):
        return _resource_request(method, path, parts, query)
    repeated = {key: tuple(texts) for key, texts in values.items() if len(texts) > 1}
    return RequestInfo(method, path, parts, query, MappingProxyType(repeated), verb=method.lower())


def parse_query(raw_query: str) -> dict[str, list[str]]:
    """All values of each parameter, in order.

    Raises:
        errors.BadRequest: a pair holds `;`, a bad escape or bytes that are not UTF-8.
    """
    values: dict[str, list[str]] = {}
    if not raw_query:
        return values
    for pair in raw_query.split("&"):
        if not pair:
            continue
        if ";" in pair:
            raise errors.BadRequest("the query must not hold a semicolon: write it as %3B")
        key, _, value = pair.partition("=")
        values.setdefault(_unquote_plus(key), []).append(_unquote_plus(value))
    return values


def is_true(value: str) -> bool:
    """A boolean parameter that is present: everything but `0` and `false` is true."""
    return value.lower() not in ("0", "false")


def _segments(raw_path: str) -> tuple[tuple[str, ...], bool]:
    """Decoded segments, and whether one slash trailed."""
    if raw_path == "/":
        return (), False
    raw = raw_path[1:].split("/")
    trailing = not raw[-1]
    if trailing:
        raw.pop()
    parts = tuple(_unquote(part) if "%" in part else part for part in raw)
    for part in parts:
        if not part or part in (".", "..") or _UNSAFE_IN_SEGMENT.search(part):
            raise errors.BadRequest("the request path is not valid")
    return parts, trailing


def _unquote(text: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise errors.BadRequest("the request target holds an invalid percent escape")
    try:
        return _ESCAPES.sub(_decode_run, text)
    except UnicodeDecodeError:
        raise errors.BadRequest("the request target is not UTF-8") from None


def _decode_run(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode()


def _unquote_plus(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    return _unquote(text) if "%" in text else text


def _is_resource(parts: tuple[str, ...]) -> bool:
    if not parts:
        return False
    return (parts[0] == "apis" and len(parts) >= 4) or (parts[0] == "api" and len(parts) >= 3)


def _resource_request(
    method: str, path: str, parts: tuple[str, ...], query: MappingProxyType[str, str]
) -> RequestInfo:
    group, rest = (parts[1], parts[2:]) if parts[0] == "apis" else ("", parts[1:])
    version, rest = rest[0], rest[1:]
    resource_parts = rest
    verb = _VERBS.get(method, "")
    if rest[0] in _VERBS_BY_PATH:
        if len(rest) < 2:
            raise errors.BadRequest("unable to determine kind and namespace from url")
        verb, rest = rest[0], rest[1:]
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _NAMESPACE_SUBRESOURCES:
            rest = rest[2:]
    name = rest[1] if len(rest) > 1 else ""
    if not name:
        verb, name = _collection_verb(verb, query)
    return RequestInfo(
        method=method,
        path=path,
        parts=parts,
        query=query,
        is_resource=True,
        verb=verb,
        group=group,
        version=version,
        namespace=namespace,
        resource=rest[0],
        subresource=rest[2] if len(rest) > 2 and verb != "proxy" else "",
        name=name,
        resource_parts=resource_parts,
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
    )


def _collection_verb(verb: str, query: MappingProxyType[str, str]) -> tuple[str, str]:
    """The verb of a request without a name segment, and the name its field selector pins."""
    if verb == "delete":
        return "deletecollection", ""
    if verb != "get":
        return verb, ""
    watch = "watch" in query and is_true(query["watch"])
    name = _exact_name(query.get("fieldSelector", ""))
    return ("watch" if watch else "list"), name


def _exact_name(field_selector: str) -> str:
    """The value that `metadata.name=` pins; empty when none or several do.

    Go takes the first of several. A review for that one must not let another one through.
    """
    found: set[str] = set()
    for term in _FIELD_TERMS.findall(field_selector):
        operator = _FIELD_OPERATOR.search(term)
        if operator is None:
            return ""
        value = _unescape_field(term[operator.end() :])
        if value is None:
            return ""
        if term[: operator.start()] == "metadata.name" and operator[0] != "!=":
            found.add(value)
    name = found.pop() if len(found) == 1 else ""
    return "" if name in (".", "..") or "/" in name or "%" in name else name


def _unescape_field(text: str) -> str | None:
    """Undoes backslashes; None for an unknown escape or a bare `=` or `,` in the value."""
    plain = re.sub(r"\\([\\,=])", "", text)
    if "\\" in plain or "=" in plain or "," in plain:
        return None
    return re.sub(r"\\([\\,=])", r"\1", text)
