import pytest

from metrics_apiserver.core import naming
from metrics_apiserver.core.naming import MetricNamer, NameFilter, Pattern


def found(pattern: str, text: str) -> naming.Match:
    match = naming.compile_regex(pattern).search(text)
    assert match is not None
    return match


# Each expectation was produced by Go's regexp.ExpandString.
@pytest.mark.parametrize(
    ("pattern", "text", "template", "expected"),
    [
        ("^nvidia_gpu_(.*)$", "nvidia_gpu_duty_cycle", "${1}_current", "duty_cycle_current"),
        ("^(.*)_total$", "http_requests_total", "${1}_per_second", "http_requests_per_second"),
        ("^(.*)_total$", "http_requests_total", "$1_per_second", ""),
        ("^(.*)_total$", "http_requests_total", "$1", "http_requests"),
        ("^(.*)_total$", "http_requests_total", "$0", "http_requests_total"),
        ("(b)(x)?", "abc", "[$1|$2|$3]", "[b||]"),
        ("(b)(x)?", "abc", "$1x", ""),
        ("(b)(x)?", "abc", "${1}x", "bx"),
        ("(b)", "abc", "$$1", "$1"),
        ("(b)", "abc", "$$$1", "$b"),
        ("(b)", "abc", "a$", "a$"),
        ("(b)", "abc", "a$-b", "a$-b"),
        ("(b)", "abc", "${1", "${1"),
        ("(b)", "abc", "${}", "${}"),
        ("(b)", "abc", "${1-}", "${1-}"),
        ("(b)", "abc", "$01", ""),
        ("(b)", "abc", "$00", ""),
        ("(b)", "abc", "$1000000000", ""),
        ("(b)", "abc", "$12345678901", ""),
        ("(b)", "abc", "$٣", ""),
        ("(b)", "abc", "$1²", "b²"),
        ("(?P<name>b)", "abc", "$name", "b"),
        ("(?P<name>b)", "abc", "${name}_x", "b_x"),
        ("(?P<name>b)", "abc", "$name_x", ""),
        ("(?P<x1>b)", "abc", "$x1", "b"),
        ("(?P<name>x)?b", "abc", "[$name]", "[]"),
        ("(é)(.)", "aéb", "$2$1", "bé"),
        ("b", "abc", "", ""),
        ("b", "abc", "plain", "plain"),
    ],
)
def test_expand_is_go_s(pattern: str, text: str, template: str, expected: str) -> None:
    assert naming.expand(found(pattern, text), template) == expected


def test_a_group_may_be_called_by_a_number_too_long_to_count() -> None:
    match = naming.Match(("ab", "a"), {"1234567890": 1})
    assert naming.expand(match, "$1234567890") == "a"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(", "missing )"),
        ("(?!x)", "invalid perl operator"),
        ("(?<=x)y", "invalid"),
        ("a{1001}", "invalid repetition size"),
        (r"(a)\1", "invalid escape sequence"),
        ("a\ud800", "not valid Unicode"),
    ],
)
def test_what_re2_refuses_is_a_value_error_and_prints_nothing(
    pattern: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=reason.replace("(", r"\(").replace(")", r"\)")):
        naming.compile_regex(pattern)
    assert capfd.readouterr() == ("", "")


def test_patterns_are_equal_by_their_text() -> None:
    first, same, other = map(naming.compile_regex, ("a+", "a+", "b"))
    assert first == same
    assert hash(first) == hash(same)
    assert first != other
    assert first != "a+"


def namer(*, keep: str = "", drop: str = "", matches: str = "", template: str = "") -> MetricNamer:
    filters = [NameFilter(naming.compile_regex(text), sign) for text, sign in
               ((keep, True), (drop, False)) if text]  # fmt: skip
    pattern = naming.compile_regex(matches) if matches else None
    return MetricNamer(tuple(filters), pattern, template or naming.default_template(pattern))


def test_filters_are_searched_for_and_all_must_agree() -> None:
    rule = namer(keep="^cadvisor", drop="_total$")
    assert rule.metric_name("cadvisor_memory") == "cadvisor_memory"
    assert rule.metric_name("cadvisor_cpu_total") is None
    assert rule.metric_name("my_cadvisor_memory") is None
    assert namer(keep="gpu").metric_name("nvidia_gpu_power") == "nvidia_gpu_power"


def test_matches_filters_as_well() -> None:
    rule = namer(matches="^nvidia_gpu_(.*)$")
    assert rule.metric_name("nvidia_gpu_power") == "power"
    assert rule.metric_name("dcgm_power") is None


def test_text_that_is_no_unicode_is_searched_all_the_same() -> None:
    assert naming.compile_regex("b").matches("a\ud800b")
    match = naming.compile_regex("(a.*)b").search("a\ud800b")
    assert match is not None
    assert match.groups[1] is not None


def test_matches_need_not_span_the_name() -> None:
    assert namer(matches="gpu_(p.w)").metric_name("nvidia_gpu_power") == "pow"
    assert namer(matches="gpu").metric_name("nvidia_gpu_power") == "gpu"


def test_without_matches_the_name_is_kept() -> None:
    assert namer().metric_name("anything") == "anything"
    assert namer(template="fixed").metric_name("anything") == "fixed"
    assert namer(template="${1}x$0").metric_name("anything") == "xanything"


@pytest.mark.parametrize(
    ("pattern", "expected"), [(None, "$0"), ("a", "$0"), ("a(b)", "$1"), ("a(?:b)", "$0")]
)
def test_default_template(pattern: str | None, expected: str) -> None:
    compiled: Pattern | None = naming.compile_regex(pattern) if pattern else None
    assert naming.default_template(compiled) == expected


def test_several_groups_have_no_default() -> None:
    with pytest.raises(ValueError, match="2 groups"):
        naming.default_template(naming.compile_regex("(a)(b)"))
