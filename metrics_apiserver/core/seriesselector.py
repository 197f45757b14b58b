"""Narrows a series selector by further matchers, as text.

A rule's `seriesQuery` is the author's own text, so it is kept as it stands and only extended; what
comes out is parsed again, and a text that did not take the extension is refused.
"""

from __future__ import annotations

from functools import lru_cache

import promql_parser

from metrics_apiserver.core import promql
from metrics_apiserver.core.promql import Matcher

_REMEMBERED = 4096


@lru_cache(maxsize=_REMEMBERED)
def narrow(selector: str, matchers: tuple[Matcher, ...]) -> str:
    """`up{job="x"}` and `pod!=""` give `up{job="x",pod!=""}`.

    Results are remembered: each relist and each standalone read narrows the same selectors.

    Args:
        selector: a vector selector.
        matchers: added behind its own.

    Raises:
        ValueError: the selector is none, or cannot be extended (a comment behind it, an offset).
    """
    text = selector.strip()
    if not matchers:
        return text
    added = ",".join(map(str, matchers))
    if text.endswith("}"):
        head = text[:-1].rstrip()
        comma = "" if head.endswith(("{", ",")) else ","
        narrowed = f"{head}{comma}{added}}}"
    else:
        narrowed = f"{text}{{{added}}}"
    # What was written behind a comment, say, parses and narrows nothing.
    if _count_matchers(narrowed) != _count_matchers(text) + len(matchers):
        raise ValueError("the series selector cannot be narrowed")
    return narrowed


def _count_matchers(selector: str) -> int:
    parsed = promql.parse(selector)
    if not isinstance(parsed, promql_parser.VectorSelector) or parsed.matchers.or_matchers:
        raise ValueError("the series selector is not a plain vector selector")
    return len(parsed.matchers.matchers)
