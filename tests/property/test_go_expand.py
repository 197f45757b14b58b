"""Names from regular expressions: the same match and expansion as Go's regexp package."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from metrics_apiserver.core import naming
from tests.fakes.oracle import Oracle

pytestmark = pytest.mark.timeout(600)

PATTERNS = ["^(.*)_total$", "^nvidia_gpu_(.*)$", "(a)|(b)", "(?P<name>[a-z]+)_(?P<unit>s|ms)", "."]
PATTERNS += ["^(a*)(b*)$", "x(?:y)?(z)?", "", "(é)", "^container_(?P<1x>a)?", "(a)(b)?(c)?"]
TEXTS = ["http_requests_total", "nvidia_gpu_duty_cycle", "a", "b", "load_ms", "xyz", "x", "é"]
PIECES = ["$", "${", "}", "1", "2", "10", "name", "unit", "_", "$$", "$1", "${1}", "${name}", "x"]
PIECES += ["$1x", "${1}_per_second", "é", "-", "$name_x", "${ 1}", "$é", "${01}", "$0", "²"]


@given(
    pattern=st.sampled_from(PATTERNS),
    text=st.sampled_from(TEXTS),
    template=st.lists(st.sampled_from(PIECES), max_size=6).map("".join),
)
@example("^(.*)_total$", "a_total", "${1}_over_time")
@example("^(.*)_total$", "a_total", "$1_over_time")
@example("(a)|(b)", "b", "[$1][$2][$3]")
def test_expansion(oracle: Oracle, pattern: str, text: str, template: str) -> None:
    answer = oracle.ask("expand", pattern=pattern, text=text, template=template)
    assume(answer.get("stage") != "parse")
    match = naming.compile_regex(pattern).search(text)
    if "error" in answer:
        assert match is None
        return
    assert match is not None
    assert naming.expand(match, template) == answer["text"]
