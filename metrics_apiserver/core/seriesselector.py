"""Narrows a series selector by further matchers, as text.

A rule's `seriesQuery` is the author's own text, so it is kept as it stands and only extended; what
comes out is parsed again, and a text that did not take the extension is refused.
"""

from __future__ import annotations

from collections.abc import Iterable

from metrics_apiserver.core import promql
from metrics_apiserver.core.promql import Matcher


def narrow(selector: str, matchers: Iterable[Matcher]) -> str:
    """`up{job="x"}` and `pod!=""` give `up{job="x",pod!=""}`.

    Args:
        selector: a vector selector.
        matchers: added behind its own.

    Raises:
        ValueError: the selector cannot be extended (a comment behind it, an offset).
    """
    added = ",".join(map(str, matchers))
    text = selector.strip()
    if not added:
        return text
    if text.endswith("}"):
        head = text[:-1].rstrip()
        comma = "" if head.endswith(("{", ",")) else ","
        narrowed = f"{head}{comma}{added}}}"
    else:
        narrowed = f"{text}{{{added}}}"
    promql.validate(narrowed)
    return narrowed
