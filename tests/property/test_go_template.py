"""Templates: the output of Go's text/template over the predecessor's data, or a refusal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core import gotemplate
from tests.fakes.oracle import Oracle

pytestmark = pytest.mark.timeout(600)

FIELDS: Mapping[str, type] = {
    "Series": str,
    "LabelMatchers": str,
    "LabelValuesByName": dict[str, str],
    "GroupBy": str,
    "GroupBySlice": list[str],
}
DATA = [
    {
        "Series": "http_requests_total",
        "LabelMatchers": 'namespace="a",pod=~"x|y"',
        "LabelValuesByName": {"namespace": "a", "pod": "x|y", "é": "<&>"},
        "GroupBy": "pod,container",
        "GroupBySlice": ["pod", "container"],
    },
    {
        "Series": "é\n'q\"",
        "LabelMatchers": "",
        "LabelValuesByName": {},
        "GroupBy": "",
        "GroupBySlice": [],
    },
]
# What Go would notice only where the template comes to that point, or never.
STATIC = (
    "unknown field",
    "can't give argument",
    "wrong number of args",
    "can't evaluate field",
    "undefined variable",
    "printf: ",
    "nil is not a command",
    "complex constants are not supported",
)

OPERANDS = [".", "$", ".Series", "$.Series", ".LabelMatchers", ".GroupBy", ".GroupBySlice"]
OPERANDS += [".LabelValuesByName", ".LabelValuesByName.pod", "$.LabelValuesByName.nope", "$x", "$y"]
OPERANDS += ["0", "1", "2", "-1", "010", "0x1F", "1_000", "1.5", "1e3", "1e6", "'a'", "'\\n'"]
OPERANDS += ['"pod"', '"é"', "`raw`", '"a\\"b"', "true", "false", "nil", '""', "0.1", "100000"]
FORMATS = [
    "%s",
    "%q",
    "%v",
    "%d",
    "%5s|",
    "%-5s|",
    "%05d",
    "%x",
    "%X",
    "%.2s",
    "%s-%s",
    "%[2]v %[1]v",
]
FORMATS += [
    "%%",
    "%c",
    "%t",
    "%T",
    "%+d",
    "% d",
    "%#x",
    "%o",
    "%b",
    "%6.2f",
    "%e",
    "%g",
    "%G",
    "%*d",
]
FORMATS += [
    "%.*f",
    "%08.3f",
    "%+v",
    "%.3d",
    "%-8q|",
    "%3c|",
    "x",
    "%.0d",
    "%#o",
    "%+.1e",
    "%v %v %v",
]
# Forms that are not offered: Go syntax, alternative and signed strings.
REFUSED = re.compile(r"%[-+0 ]*#[^%a-zA-Z]*[vqeEfFgGxX]|%[-0 #]*\+[^%a-zA-Z]*q|%[-0+#]* [^%]*[xX]")
REFUSED_TYPES = re.compile(r'q" cannot write .* (int|uint8)$|[xXb]" cannot write .* float64$')
FUNCTIONS = ["index", "slice", "len", "print", "println", "not", "and", "or", "html", "urlquery"]
FUNCTIONS += ["eq", "ne", "lt", "le", "gt", "ge", "js"]


@st.composite
def pipelines(draw: st.DrawFn, depth: int = 2) -> str:
    stages = []
    for stage in range(draw(st.integers(1, 2 if depth else 1))):
        shape = draw(st.integers(0, 9))
        if shape < 3 and not stage:
            stages.append(draw(st.sampled_from(OPERANDS)))
            continue
        if shape < 5:
            words = ["printf", f'"{draw(st.sampled_from(FORMATS))}"']
        else:
            words = [draw(st.sampled_from(FUNCTIONS))]
        for _ in range(draw(st.integers(0, 3))):
            if depth and draw(st.integers(0, 4)) == 0:
                words.append(f"({draw(pipelines(depth=depth - 1))})")
            else:
                words.append(draw(st.sampled_from(OPERANDS)))
        stages.append(" ".join(words))
    return draw(st.sampled_from([" | ", "|"])).join(stages)


@st.composite
def actions(draw: st.DrawFn, depth: int = 2) -> str:
    left = draw(st.sampled_from(["<<", "<<", "<<- ", "<< "]))
    right = draw(st.sampled_from([">>", ">>", " ->>", " >>"]))
    shape = draw(st.integers(0, 9 if depth else 4))
    pipeline = draw(pipelines())
    if shape <= 2:
        return f"{left}{pipeline}{right}"
    if shape == 3:
        return f"{left}{draw(st.sampled_from(['$x := ', '$x = ', '$y:='])) + pipeline}{right}"
    if shape == 4:
        words = ["/* c */", "break", "continue", "$x := 1", "else", "end"]
        return f"{left}{draw(st.sampled_from(words))}{right}"
    keyword = draw(st.sampled_from(["if", "with", "range"]))
    declared = ["", "", "$x := ", "$x = "] + (
        ["$x, $y := ", "$y, $x = "] if keyword == "range" else []
    )
    head = f"{left}{keyword} {draw(st.sampled_from(declared))}{pipeline}{right}"
    body = draw(texts(depth=depth - 1))
    if draw(st.booleans()):
        body += draw(st.sampled_from(["<<else>>", f"<<else {keyword} {draw(pipelines())}>>"]))
        body += draw(texts(depth=depth - 1))
    return f"{head}{body}{left}end{right}"


@st.composite
def texts(draw: st.DrawFn, depth: int = 2) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        parts.append(draw(st.sampled_from(["", " a ", "\n", "sum(", "x >> y", ", "])))
        parts.append(draw(actions(depth=depth)))
    return "".join(parts)


declared_texts = texts().map("<<$x := 3>><<$y := .GroupBy>>{}".format)
NOISE = ["<<", ">>", "<<-", "->>", " ", ".", "Series", "$", ":=", "=", "|", "(", ")", '"', "'"]
NOISE += ["`", "/*", "*/", "end", "if", "range", "1", "-", "\n", "é", ",", "@", "e", "_", "+", "i"]
noise = st.lists(st.sampled_from(NOISE), max_size=12).map("".join)


def _is_garbage(text: str) -> bool:
    """An error of `fmt` in the text, or half a character."""
    return "%!" in text or "\ufffd" in text


def check(oracle: Oracle, template: str, data: dict[str, Any], *, strict: bool = False) -> None:
    """Compares one rendering; not `strict` where a failing `printf` need not be printed."""
    answer = oracle.ask("template", template=template, data=data)
    refused: TemplateError | None = None
    output, compiled = "", None
    try:
        compiled = gotemplate.compile(template, FIELDS)
        output = compiled.render(data)
    except TemplateError as error:
        refused = error
    if refused is None:
        assert "error" not in answer, answer
        assert output == answer["text"]
        return
    if compiled is None:
        assert 0 <= refused.offset <= len(template)
        expected = refused.message.startswith(STATIC)
    else:
        assert answer.get("stage") != "parse", answer
        expected = "printf: " in refused.message and not strict
        expected |= bool(REFUSED_TYPES.search(refused.message))
    assert expected or "error" in answer or _is_garbage(answer["text"]), (refused, answer)


@given(template=st.one_of(texts(), declared_texts), data=st.sampled_from(DATA))
@example("<<.LabelValuesByName>> <<.GroupBySlice>> <<.>>", DATA[0])
@example("<<range $i, $e := .GroupBySlice>><<if $i>>,<<end>><<$e>><<else>>none<<end>>", DATA[0])
@example('<<index .LabelValuesByName "nope">>|<<.LabelValuesByName.nope>>|', DATA[0])
@example("<<range 3>><<.>><<end>>", DATA[0])
@example("<<range $k, $v := .LabelValuesByName>><<$k>>=<<$v>>;<<end>>", DATA[0])
@example("<<with $x := .Series>><<$x>><<else with .GroupBy>>b<<else>>c<<end>>", DATA[1])
@example("<<.Series | >>", DATA[0])
@example("<<slice .Series 0 1>>", DATA[1])
@example('<<print "é" | len>> <<len (slice .Series 0 1)>>', DATA[1])
@example("<<$x := 1>><<range .GroupBySlice>><<$x = 2>><<end>><<$x>>", DATA[0])
@example("<<and>>", DATA[0])
@example("<<.Series | and | or>>", DATA[0])
@example("<<range $i, $j := 3>><<end>>", DATA[0])
@example("<<range $x, $y>><<end>>", DATA[0])
@example("<<(.LabelValuesByName).pod>>", DATA[0])
@example("<<not nil>><<eq nil nil>><<eq .GroupBySlice nil>><<print nil>>", DATA[0])
def test_templates_render_as_in_go(oracle: Oracle, template: str, data: dict[str, Any]) -> None:
    check(oracle, template, data)


@given(template=noise)
@example("<<1+2>>")
@example("<<+>>")
@example("<<1__0>>")
@example("<<0x>>")
@example("<<09>>")
@example("<<.5>>")
@example("<<1.>>")
@example("<<99999999999999999999>>")
@example("<<9223372036854775808>>")
@example("<<1e400>>")
@example("<</* a */>>b<<- /* c */ ->> d")
@example("<</* a >>")
@example("<</* a */ >>")
@example("a <<- 3 ->> b")
@example("a <<-3>> b")
@example("<<.Series->>")
@example("<<(>>")
@example("<<)>>")
@example("<<``>>")
@example("<<$x²:=1>>")
@example("<<.²>>")
@example("<<²>>")
@example("<<end>>")
@example("<<if 1>>")
@example("<<if 1>><<else>><<else>><<end>>")
@example("<<if 1>><<else if>><<end>>")
@example("<<if 1>><<else with 1>><<end>>")
@example("<<break>>")
@example("<<range 1>><<else>><<break>><<end>>")
@example("<<range 1>><<break 1>><<end>>")
@example("<<end 1>>")
@example('<<"a".b>>')
@example("<<..a>>")
@example("<<1.a>>")
@example("<<true.a>>")
@example("<<print.a>>")
@example("<<1 | 2>>")
@example("<<(1) 2>>")
@example("<<nil>>")
@example("<<>>")
@example("<<()>>")
@example("<<foo>>")
@example("<<.Series 1>>")
@example("<<$x = 1>>")
@example("<<if $x, $y := 1>><<end>>")
@example("<<range 1, 2>><<end>>")
@example("<<range $x, 2>><<end>>")
@example("<<.Series.Foo>>")
@example("<<.__class__>>")
@example("<<true false>>")
@example("<<printf>>")
@example("<<printf 1>>")
@example("<<:>>")
@example("<<'ab'>>")
@example("<<''>>")
@example("<<'a>>")
@example('<<"\\q">>')
@example("<<\u00e9>>")
@example("<<\x01>>")
def test_any_text_is_accepted_or_refused_as_in_go(oracle: Oracle, template: str) -> None:
    check(oracle, template, DATA[0])


@given(
    directive=st.sampled_from(FORMATS),
    flags=st.sampled_from(["", "", "-", "+", "0", " ", "#", "-0", "+0", " 0"]),
    width=st.sampled_from(["", "", "1", "4", "9", ".0", ".1", ".3", "8.2", "*", ".*"]),
    arguments=st.lists(st.sampled_from(OPERANDS[2:-3]), max_size=3),
)
@example("%[3]*.[2]*[1]f", "", "", ["1.5", "2", "8"])
@example("%*d", "", "", ["-5", "3"])
@example("%.*d", "", "", ["-5", "3"])
@example("%[5]d", "", "", ["1"])
@example("%[0]d", "", "", ["1"])
@example("%z", "", "", ["1"])
@example("%", "", "", [])
@example("%[1]", "", "", ["1"])
def test_printf_writes_what_go_writes(
    oracle: Oracle, directive: str, flags: str, width: str, arguments: list[str]
) -> None:
    verb = directive.replace("%", f"%{flags}{width}", 1)
    assume(not REFUSED.search(verb))
    words = " ".join(word for word in arguments if word not in ("$", "."))
    template = f'<<$x := 3>><<$y := index .GroupBySlice 0>><<printf "{verb}" {words}>>'
    check(oracle, template, DATA[0], strict=True)
