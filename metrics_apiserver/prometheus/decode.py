"""Reads the answers of the Prometheus HTTP API, strictly: what is not understood is refused.

Numbers come as text and follow Prometheus' own grammar; Python's wider one (`1_000`, ` 5 `,
digits of other scripts, `infinity`) would invent values. `warnings` are handed on; `isPartial`,
as VictoriaMetrics' cluster says it, is one. Matrix, string and native histogram results are
refused: they have no single value. Readers are fed while bytes arrive, never wait, and know the
`warnings` once they have finished.

Source: https://prometheus.io/docs/prometheus/latest/querying/api/ and web/api/v1 of Prometheus.
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import QueryResult, Sample, Series
from metrics_apiserver.prometheus import failures
from metrics_apiserver.prometheus.json_stream import JsonArrayStream

_NUMBER_CHARACTERS = "0123456789+-.eE"
_SPECIAL = {"NaN": math.nan, "+Inf": math.inf, "-Inf": -math.inf}
_SERIES_LIMIT = 100_000


def parse_value(text: str) -> float:
    """A sample value: a decimal number, `NaN`, `+Inf` or `-Inf`.

    Raises:
        ValueError: any other text, or a magnitude that a float64 cannot hold.
    """
    # float() also reads underscores, spaces, foreign digits and words: all of these have a
    # character that stays when those of a decimal number are stripped off.
    if text.strip(_NUMBER_CHARACTERS):
        if text in _SPECIAL:
            return _SPECIAL[text]
        raise ValueError("not a decimal number")
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("too large for a float64")
    return value


class QueryReader:
    """Reads the answer of /api/v1/query."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self._stream = JsonArrayStream()
        self._samples: list[Sample] = []

    def feed(self, chunk: bytes) -> None:
        self._add(self._stream.feed(chunk))

    def finish(self) -> QueryResult:
        """The whole answer.

        Raises:
            UpstreamError, UpstreamTimeout: the API says error, or the answer is not understood.
        """
        data, self.warnings = _open_envelope(_finish(self._stream))
        if not isinstance(data, dict):
            raise failures.protocol("the answer of Prometheus has no result")
        kind, result = data.get("resultType"), data.get("result")
        if not isinstance(result, list):
            raise failures.protocol("the answer of Prometheus has no result")
        if kind == "scalar" and not self._stream.taken:
            return QueryResult("scalar", [_sample({"metric": {}, "value": result})], self.warnings)
        if kind != "vector":
            what = f"a {kind}" if kind in ("matrix", "string") else "something else"
            raise failures.protocol(f"the query gives {what} where a vector is needed")
        self._add(_remaining(self._stream, result))
        return QueryResult("vector", self._samples, self.warnings)

    def _add(self, elements: list[Any]) -> None:
        self._samples.extend(map(_sample, elements))


class SeriesReader:
    """Reads the answer of /api/v1/series down to names and label names, whatever its length."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self._stream = JsonArrayStream()
        self._shapes: set[tuple[str, ...]] = set()
        self._series: set[Series] = set()

    def feed(self, chunk: bytes) -> None:
        self._add(self._stream.feed(chunk))

    def finish(self) -> set[Series]:
        """Distinct series.

        Raises:
            UpstreamError, UpstreamTimeout: as QueryReader.finish; `too_large` for more
                distinct series than any rule file can mean.
        """
        data, self.warnings = _open_envelope(_finish(self._stream))
        if not isinstance(data, list):
            raise failures.protocol("the list of series is not a list")
        self._add(_remaining(self._stream, data))
        return self._series

    def _add(self, elements: list[Any]) -> None:
        # Most series repeat a shape (name and label names in one order) seen before: compare
        # tuples of strings that orjson shares between objects, and build a Series for new ones.
        shapes = self._shapes
        for element in elements:
            if type(element) is not dict:
                raise failures.protocol("a series is not an object")
            name = element.get("__name__")
            if type(name) is not str:
                if name is None:
                    continue  # no name, no metric
                raise failures.protocol("the name of a series is not a string")
            shape = (name, *element)
            if shape in shapes:
                continue
            if len(shapes) >= _SERIES_LIMIT:
                why = f"the series query gives more than {_SERIES_LIMIT} different series"
                raise failures.upstream(why, kind="too_large")
            shapes.add(shape)
            self._series.add(Series(name, frozenset(element) - {"__name__"}))


class SeriesValuesReader:
    """Reads the answer of /api/v1/series down to the values of one label."""

    def __init__(self, label: str) -> None:
        self.warnings: tuple[str, ...] = ()
        self._label = label
        self._stream = JsonArrayStream()
        self._values: set[str] = set()

    def feed(self, chunk: bytes) -> None:
        self._add(self._stream.feed(chunk))

    def finish(self) -> list[str]:
        """Distinct values, sorted.

        Raises:
            UpstreamError, UpstreamTimeout: as SeriesReader.finish.
        """
        data, self.warnings = _open_envelope(_finish(self._stream))
        if not isinstance(data, list):
            raise failures.protocol("the list of series is not a list")
        self._add(_remaining(self._stream, data))
        return sorted(self._values)

    def _add(self, elements: list[Any]) -> None:
        for element in elements:
            if type(element) is not dict:
                raise failures.protocol("a series is not an object")
            value = element.get(self._label)
            if value is None:
                continue
            if type(value) is not str:
                raise failures.protocol("the value of a label is not a string")
            self._values.add(value)
            if len(self._values) > _SERIES_LIMIT:
                why = f"the series query gives more than {_SERIES_LIMIT} different values"
                raise failures.upstream(why, kind="too_large")


class NamesReader:
    """Reads a list of strings: /api/v1/labels and /api/v1/label/NAME/values."""

    def __init__(self) -> None:
        self.warnings: tuple[str, ...] = ()
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        self._parts.append(chunk)

    def finish(self) -> list[str]:
        """The names, as sent.

        Raises:
            UpstreamError, UpstreamTimeout: as QueryReader.finish.
        """
        try:
            document = orjson.loads(b"".join(self._parts))
        except orjson.JSONDecodeError as error:
            raise failures.protocol("the answer is not JSON", detail=str(error)) from error
        data, self.warnings = _open_envelope(document)
        if not isinstance(data, list) or not all(isinstance(name, str) for name in data):
            raise failures.protocol("the list of names is not a list of strings")
        return data


def _finish(stream: JsonArrayStream) -> object:
    try:
        return stream.finish()
    except orjson.JSONDecodeError as error:
        raise failures.protocol("the answer is not JSON", detail=str(error)) from error


def _open_envelope(document: object) -> tuple[object, tuple[str, ...]]:
    """`data` and the warnings of a successful answer; errors of the API are raised."""
    if not isinstance(document, dict):
        raise failures.protocol("the answer is not a JSON object")
    status = document.get("status")
    if status == "error":
        raise failures.api_error(200, document.get("errorType"), document.get("error"))
    if status != "success":
        raise failures.protocol("the answer does not say success")
    warnings = document.get("warnings") or []
    if not isinstance(warnings, list) or not all(isinstance(text, str) for text in warnings):
        raise failures.protocol("the warnings are not a list of strings")
    if document.get("isPartial") is True:
        warnings = [*warnings, "the answer is partial"]
    return document.get("data"), tuple(warnings)


def _remaining(stream: JsonArrayStream, array: list[Any]) -> list[Any]:
    """The elements not read yet; refuses an answer whose other array was read as the result."""
    if not stream.taken:
        return array
    if not array or type(array[0]) is not int:
        raise failures.protocol("the answer holds its parts in an unknown order")
    return array[1:]


def _sample(element: Any) -> Sample:
    try:
        labels = element["metric"]
        timestamp, text = element["value"]
        value = parse_value(text)
        "".join(labels.values())  # the cheapest check that all values are strings
    except (TypeError, KeyError, ValueError, AttributeError):
        raise _unlike_a_sample(element) from None
    if type(timestamp) is not float and type(timestamp) is not int:
        raise _unlike_a_sample(element)
    return Sample(labels, value, timestamp)


def _unlike_a_sample(element: object) -> errors.UpstreamError:
    if isinstance(element, dict) and "histogram" in element:
        return failures.protocol(
            "the query gives native histograms, which have no single value; "
            "use a function such as histogram_quantile"
        )
    if isinstance(element, dict) and "values" in element:
        return failures.protocol("the query gives a matrix where a vector is needed")
    return failures.protocol("a sample has no readable value", detail=repr(element))
