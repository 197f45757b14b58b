"""A compiled template and its two operations: compile text, render data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.nodes import Action, Node, Text, execute_all
from metrics_apiserver.core.gotemplate.operands import Dot, Variable
from metrics_apiserver.core.gotemplate.parser import TemplateParser
from metrics_apiserver.core.gotemplate.state import State
from metrics_apiserver.core.gotemplate.values import Struct, Value

_MAX_TEMPLATE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template.

    Attributes:
        text: as it was written.
        fields: names and types of its data, in order.
        fields_used: the fields that it reads; all where it handles its data as a whole.
        branches: whether it has `if`, `with` or `range`.
        plain: whether it only writes text and fields of its data as they are, so that its output
            differs for two renderings exactly where those fields differ.
    """

    text: str
    fields: tuple[str, ...]
    fields_used: frozenset[str]
    branches: bool
    plain: bool
    _nodes: tuple[Node, ...]

    def render(self, data: Mapping[str, object]) -> str:
        """The text for these values.

        Args:
            data: a value for each of `fields`: str, list[str] or dict[str, str] as declared.

        Raises:
            TemplateError: where Go's text/template would fail, above 64 KiB or 10 000 steps, and
                for output that is no UTF-8.
        """
        values = {name: cast("str", data[name]) for name in self.fields}
        root: Value = Struct(values)
        state = State([("$", root)])
        execute_all(self._nodes, state, root)
        output = "".join(state.output)
        try:
            output.encode()
        except UnicodeEncodeError:
            raise TemplateError("the output is no UTF-8") from None
        return output


def compile(text: str, fields: Mapping[str, type]) -> Template:  # noqa: A001 - as `re.compile`
    """Compiles a template.

    Args:
        text: the template, at most 64 Ki characters.
        fields: names and types (str, list[str], dict[str, str]) of the data, in Go's order.

    Raises:
        TemplateError: with the character offset of the fault.
    """
    if len(text) > _MAX_TEMPLATE:
        raise TemplateError(f"the template is longer than {_MAX_TEMPLATE} characters", offset=0)
    parser = TemplateParser(text, fields)
    nodes = parser.parse()
    return Template(
        text=text,
        fields=tuple(fields),
        fields_used=frozenset(parser.fields.used),
        branches=parser.branches,
        plain=all(map(_is_plain, nodes)),
        _nodes=nodes,
    )


def _is_plain(node: Node) -> bool:
    if isinstance(node, Text):
        return True
    if not isinstance(node, Action) or node.pipeline.calls or node.pipeline.variables:
        return False
    match node.pipeline.first:
        case Dot(names=names) | Variable(name="$", names=names):
            return len(names) == 1
        case _:
            return False
