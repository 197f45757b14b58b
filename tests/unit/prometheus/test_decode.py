"""Answers are read strictly: each case is something a backend could send, and what comes of it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.base import errors
from metrics_apiserver.core.model import QueryResult, Sample, Series
from metrics_apiserver.prometheus import decode


def read_query(body: bytes, chunk: int = 1 << 16) -> QueryResult:
    reader = decode.QueryReader()
    for start in range(0, len(body), chunk):
        reader.feed(body[start : start + chunk])
    return reader.finish()


def read_series(body: bytes) -> set[Series]:
    reader = decode.SeriesReader()
    for start in range(0, len(body), 1 << 16):
        reader.feed(body[start : start + (1 << 16)])
    return reader.finish()


def read_names(body: bytes) -> list[str]:
    reader = decode.NamesReader()
    reader.feed(body)
    return reader.finish()


def success(data: object, **envelope: object) -> bytes:
    return json.dumps({"status": "success", "data": data, **envelope}).encode()


def vector(*samples: object) -> bytes:
    return success({"resultType": "vector", "result": samples})


def one(value: object, timestamp: object = 1.5) -> bytes:
    return vector({"metric": {"a": "b"}, "value": [timestamp, value]})


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("0", 0.0),
            ("-0", -0.0),
            ("1", 1.0),
            ("+1", 1.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("-12.25", -12.25),
            ("1e3", 1000.0),
            ("1E+3", 1000.0),
            ("1e+300", 1e300),
            ("1e-10", 1e-10),
            ("5e-324", 5e-324),
            ("9300000000000000", 9.3e15),
            ("1" + "0" * 300, 1e300),
            ("+Inf", math.inf),
            ("-Inf", -math.inf),
        ],
    )
    def test_grammar(self, text: str, value: float) -> None:
        parsed = decode.parse_value(text)
        assert parsed == value
        assert math.copysign(1, parsed) == math.copysign(1, value)

    def test_nan(self) -> None:
        assert math.isnan(decode.parse_value("NaN"))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            " 5 ",
            "5\n",
            "1_000",
            "\uff11\uff12",
            "\u0661",
            "nan",
            "-NaN",
            "Inf",
            "inf",
            "infinity",
            "+Infinity",
            "0x10",
            "0x1p-2",
            "1e",
            "e5",
            ".",
            "+",
            "--1",
            "1.2.3",
            "1,5",
            "1e5e5",
            "1-1",
            "1e999",
            "-1e999",
            "1" + "0" * 400,
            "true",
            "None",
        ],
    )
    def test_everything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"decimal number|float"):
            decode.parse_value(text)
        with pytest.raises(errors.UpstreamError) as refused:
            read_query(one(text))
        assert refused.value.kind == "protocol"

    @given(st.floats(allow_nan=False, allow_infinity=False))
    def test_every_number_survives(self, value: float) -> None:
        assert decode.parse_value(repr(value)) == value

    @given(st.text())
    def test_never_wider_than_float(self, text: str) -> None:
        try:
            value = decode.parse_value(text)
        except ValueError:
            return
        assert math.isnan(value) or value == float(text)
        assert text.isascii()


class TestQuery:
    def test_vector(self) -> None:
        body = vector(
            {"metric": {"__name__": "m", "pod": "a"}, "value": [1700000000.123, "1.5"]},
            {"metric": {}, "value": [1700000000, "NaN"]},
        )
        result = read_query(body)
        assert result.kind == "vector"
        assert result.samples[0] == Sample({"__name__": "m", "pod": "a"}, 1.5, 1700000000.123)
        assert result.samples[1].labels == {}
        assert math.isnan(result.samples[1].value)
        assert result.warnings == ()

    def test_empty_vector(self) -> None:
        assert read_query(vector()).samples == []

    def test_scalar(self) -> None:
        body = success({"resultType": "scalar", "result": [1700000000.5, "-Inf"]})
        assert read_query(body) == QueryResult("scalar", [Sample({}, -math.inf, 1700000000.5)])

    def test_warnings_are_handed_on_and_infos_are_not(self) -> None:
        body = success({"resultType": "vector", "result": []}, warnings=["w"], infos=["i"])
        assert read_query(body).warnings == ("w",)

    def test_a_partial_answer_is_a_warning(self) -> None:
        body = success({"resultType": "vector", "result": []}, isPartial=True)
        assert read_query(body).warnings == ("the answer is partial",)
        body = success({"resultType": "vector", "result": []}, isPartial=False, warnings=None)
        assert read_query(body).warnings == ()

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"", "not JSON"),
            (b"<html>", "not JSON"),
            (b"null", "not a JSON object"),
            (b"[]", "not a JSON object"),
            (b'"success"', "not a JSON object"),
            (b"NaN", "not JSON"),
            (b'{"status":[1,2', "not JSON"),
            (b"[" * 100_000, "not JSON"),
            (b'{"status":"success","data":' + b"1" * 5000 + b"}", "not JSON"),
            (b"{}", "does not say success"),
            (b'{"status":"ok"}', "does not say success"),
            (b'{"status":["success"]}', "does not say success"),
            (b'{"status":"success"}', "no result"),
            (b'{"status":"success","data":[]}', "no result"),
            (b'{"status":"success","data":{"resultType":"vector"}}', "no result"),
            (b'{"status":"success","data":{"resultType":"vector","result":null}}', "no result"),
            (b'{"status":"success","data":{"resultType":"vector","result":{}}}', "no result"),
            (success({"resultType": "matrix", "result": []}), "gives a matrix"),
            (success({"resultType": "string", "result": [1, "x"]}), "gives a string"),
            (success({"resultType": "streams", "result": []}), "gives something else"),
            (success({"resultType": [], "result": []}), "gives something else"),
            (success({"result": []}), "gives something else"),
            (success({"resultType": "scalar", "result": []}), "no readable value"),
            (success({"resultType": "scalar", "result": [1, "1", 2]}), "no readable value"),
            (success({"resultType": "vector", "result": []}, warnings="w"), "warnings"),
            (success({"resultType": "vector", "result": []}, warnings=[1]), "warnings"),
        ],
    )
    def test_other_answers_are_refused(self, body: bytes, message: str) -> None:
        with pytest.raises(errors.UpstreamError, match=message) as refused:
            read_query(body)
        assert refused.value.kind == "protocol"
        assert refused.value.message.startswith("unable to fetch metrics: ")

    @pytest.mark.parametrize(
        "sample",
        [
            None,
            1,
            "text",
            [],
            ["metric", "value"],
            {},
            {"metric": {}},
            {"value": [1, "1"]},
            {"metric": None, "value": [1, "1"]},
            {"metric": [], "value": [1, "1"]},
            {"metric": "pod", "value": [1, "1"]},
            {"metric": {"a": 1}, "value": [1, "1"]},
            {"metric": {"a": None}, "value": [1, "1"]},
            {"metric": {"a": {"b": "c"}}, "value": [1, "1"]},
            {"metric": {}, "value": None},
            {"metric": {}, "value": "1"},
            {"metric": {}, "value": "12"},
            {"metric": {}, "value": {"a": "1", "b": "2"}},
            {"metric": {}, "value": [1]},
            {"metric": {}, "value": [1, "1", "1"]},
            {"metric": {}, "value": [1, 1]},
            {"metric": {}, "value": [1, None]},
            {"metric": {}, "value": [1, True]},
            {"metric": {}, "value": ["1", "1"]},
            {"metric": {}, "value": [None, "1"]},
            {"metric": {}, "value": [True, "1"]},
        ],
    )
    def test_other_samples_are_refused(self, sample: object) -> None:
        with pytest.raises(errors.UpstreamError, match="no readable value") as refused:
            read_query(vector(sample))
        assert refused.value.kind == "protocol"

    def test_one_bad_sample_spoils_the_answer(self) -> None:
        good = {"metric": {}, "value": [1, "1"]}
        with pytest.raises(errors.UpstreamError):
            read_query(vector(good, {"metric": {}, "value": [1, "x"]}, good))

    def test_an_answer_cut_anywhere_is_refused(self) -> None:
        body = vector(
            {"metric": {"a": "}]"}, "value": [1, "12"]}, {"metric": {}, "value": [1, "3"]}
        )
        for cut in range(len(body)):
            with pytest.raises(errors.UpstreamError, match="not JSON"):
                read_query(body[:cut])

    def test_native_histograms_are_refused_with_advice(self) -> None:
        sample = {"metric": {}, "histogram": [1, {"count": "1", "sum": "1"}]}
        with pytest.raises(errors.UpstreamError, match="histogram_quantile"):
            read_query(vector(sample))

    def test_matrix_elements_are_named(self) -> None:
        with pytest.raises(errors.UpstreamError, match="gives a matrix"):
            read_query(vector({"metric": {}, "values": [[1, "1"]]}))

    @pytest.mark.parametrize("escape", [rb"\ud800", rb"\udc00", b"\xff", b"\xed\xa0\x80", b"\x01"])
    def test_text_that_is_no_text_is_refused(self, escape: bytes) -> None:
        body = vector({"metric": {"a": "HERE"}, "value": [1, "1"]}).replace(b"HERE", escape)
        with pytest.raises(errors.UpstreamError, match="not JSON"):
            read_query(body)

    def test_labels_keep_any_text(self) -> None:
        labels = {"a": 'x"},{\\', "é": "\u2028\U0001f600\x00", "b": ""}
        body = vector({"metric": labels, "value": [1, "1"]})
        assert read_query(body).samples[0].labels == labels


class TestErrorsOfTheAPI:
    def test_a_refused_query_under_200(self) -> None:
        body = json.dumps({"status": "error", "errorType": "bad_data", "error": "secret"})
        with pytest.raises(errors.UpstreamError) as refused:
            read_query(body.encode())
        assert refused.value.message.endswith("Prometheus refused the query (200 bad_data)")
        assert "secret" not in refused.value.message
        assert refused.value.detail == "secret"
        assert refused.value.kind == "api"

    def test_a_timeout_under_200(self) -> None:
        body = json.dumps({"status": "error", "errorType": "timeout", "error": "x"}).encode()
        for read in (read_query, read_series, read_names):
            with pytest.raises(errors.UpstreamTimeout):
                read(body)


class TestLongAnswers:
    """Answers that are taken apart while they arrive."""

    def body(self, count: int, **envelope: object) -> bytes:
        samples = [
            {"metric": {"pod": f'p{i}"}},{{"', "pad": "x" * 100}, "value": [i, str(i)]}
            for i in range(count)
        ]
        document = {
            "status": "success",
            "data": {"resultType": "vector", "result": samples},
            **envelope,
        }
        return orjson.dumps(document)

    @pytest.mark.parametrize("chunk", [1000, 65_536, 10_000_000])
    def test_vector(self, chunk: int) -> None:
        result = read_query(self.body(10_000, warnings=["w"]), chunk)
        assert [sample.value for sample in result.samples] == list(range(10_000))
        assert result.samples[7].labels["pod"] == 'p7"},{"'
        assert result.warnings == ("w",)

    def test_a_late_error_spoils_the_answer(self) -> None:
        body = self.body(10_000)
        for broken in (body[:-3], body[:-2] + b"]}", body[:-200] + b"\xff" + body[-199:]):
            with pytest.raises(errors.UpstreamError):
                read_query(broken)

    def test_a_late_other_status_spoils_the_answer(self) -> None:
        body = self.body(10_000)[:-1] + b',"status":"error","errorType":"execution"}'
        with pytest.raises(errors.UpstreamError, match="execution"):
            read_query(body)

    def test_a_matrix_is_named(self) -> None:
        body = self.body(5_000).replace(b'"vector"', b'"matrix"')
        with pytest.raises(errors.UpstreamError, match="gives a matrix"):
            read_query(body)

    def test_vectors_elements_under_scalar_are_refused(self) -> None:
        body = self.body(5_000).replace(b'"vector"', b'"scalar"')
        with pytest.raises(errors.UpstreamError, match="something else"):
            read_query(body)

    def test_objects_before_the_data_are_not_taken_for_it(self) -> None:
        result = {"resultType": "vector", "result": []}
        infos = [{"metric": {"pad": "x" * 100}, "value": [1, "1"]} for _ in range(5_000)]
        body = orjson.dumps({"status": "success", "infos": infos, "data": result})
        with pytest.raises(errors.UpstreamError, match="unknown order"):
            read_query(body)


class TestSeries:
    def test_series_are_reduced_to_names(self) -> None:
        body = success(
            [
                {"__name__": "m", "pod": "a", "ns": "x"},
                {"__name__": "m", "ns": "y", "pod": "b"},
                {"__name__": "m", "pod": "c"},
                {"__name__": "n"},
                {"pod": "nameless"},
                {},
            ]
        )
        assert read_series(body) == {
            Series("m", frozenset({"pod", "ns"})),
            Series("m", frozenset({"pod"})),
            Series("n", frozenset()),
        }

    def test_no_series(self) -> None:
        assert read_series(success([])) == set()

    def test_many_series(self) -> None:
        series = [
            {"__name__": f"m{i % 50}", "pod": f"p{i}", "pad": "x" * 80} for i in range(20_000)
        ]
        labels = frozenset({"pod", "pad"})
        assert read_series(orjson.dumps({"status": "success", "data": series})) == {
            Series(f"m{i}", labels) for i in range(50)
        }

    @pytest.mark.parametrize(
        "data", [None, {}, "x", [1], ["x"], [None], [[]], [{"__name__": 1}], [{"__name__": []}]]
    )
    def test_other_answers_are_refused(self, data: object) -> None:
        with pytest.raises(errors.UpstreamError) as refused:
            read_series(success(data))
        assert refused.value.kind == "protocol"

    def test_more_names_than_any_rule_means_are_refused(self) -> None:
        series = [{"__name__": f"m{i}"} for i in range(100_001)]
        with pytest.raises(errors.UpstreamError) as refused:
            read_series(orjson.dumps({"status": "success", "data": series}))
        assert refused.value.kind == "too_large"


class TestNames:
    def test_names(self) -> None:
        assert read_names(success(["b", "a", "é"])) == ["b", "a", "é"]
        assert read_names(success([])) == []

    @pytest.mark.parametrize("data", [None, {}, "x", [1], [None], [["a"]], ["a", {}]])
    def test_other_answers_are_refused(self, data: object) -> None:
        with pytest.raises(errors.UpstreamError) as refused:
            read_names(success(data))
        assert refused.value.kind == "protocol"

    def test_not_json(self) -> None:
        with pytest.raises(errors.UpstreamError, match="not JSON"):
            read_names(b"x")


@pytest.mark.parametrize("reader", [decode.QueryReader, decode.SeriesReader, decode.NamesReader])
@given(body=st.binary(max_size=200))
def test_no_other_error_leaves_a_reader(reader: Callable[[], Any], body: bytes) -> None:
    def read() -> None:
        reading = reader()
        reading.feed(body)
        reading.finish()

    with pytest.raises((errors.UpstreamError, errors.UpstreamTimeout)):
        read()


def test_values_of_one_label_over_series() -> None:
    reader = decode.SeriesValuesReader("pod")
    for part in (
        b'{"status":"success","data":[{"__name__":"a","pod":"x"},',
        b'{"pod":"x"},{"b":"c"}]}',
    ):
        reader.feed(part)
    assert reader.finish() == ["x"]


@pytest.mark.parametrize("data", [b"{}", b"[1]", b'[{"pod":1}]'])
def test_series_that_are_none_have_no_values(data: bytes) -> None:
    reader = decode.SeriesValuesReader("pod")
    reader.feed(b'{"status":"success","data":' + data + b"}")
    with pytest.raises(errors.UpstreamError):
        reader.finish()
