"""The `<< >>` templates of rule files: Go's text/template language with other delimiters.

Takes fields, `index`, `range`, `if`, `with`, `printf` and the other built-in functions, pipelines,
variables, comments and trim markers, over strings, `[]string` and `map[string]string`. Refuses
`define`, `template`, `block` and `call`, which no query needs and which could recurse. Output is
held to 64 KiB and work to 10 000 steps. It is no general template engine and evaluates nothing of
Python. Follows Go's `text/template` and `fmt`. Inside: lexer, cursor, parser (with checks and
numbers); nodes and operands, which evaluate themselves; values, functions, formatting.
"""

from metrics_apiserver.core.gotemplate.template import Template, compile  # noqa: A004 - as `re`

__all__ = ["Template", "compile"]
