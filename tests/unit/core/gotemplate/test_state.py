from __future__ import annotations

import pytest

from metrics_apiserver.base.errors import TemplateError
from metrics_apiserver.core.gotemplate.state import MAX_STEPS, State
from metrics_apiserver.core.gotemplate.values import MAX_BYTES


def test_the_innermost_variable_counts() -> None:
    state = State([("$", ""), ("$x", 1), ("$y", 2), ("$x", 3)])
    assert state.position("$x", 0) == 3
    state.assign("$x", 4, 0)
    assert state.variables[1:] == [("$x", 1), ("$y", 2), ("$x", 4)]
    with pytest.raises(TemplateError, match=r"undefined variable: \$z") as caught:
        state.position("$z", 7)
    assert caught.value.offset == 7


def test_steps_are_bounded() -> None:
    state = State([])
    for _ in range(MAX_STEPS):
        state.step(0)
    with pytest.raises(TemplateError, match="takes more than 10000 steps") as caught:
        state.step(5)
    assert caught.value.offset == 5


def test_output_is_bounded() -> None:
    state = State([])
    state.write("é" * (MAX_BYTES // 2), 0)
    with pytest.raises(TemplateError, match="longer than 65536 bytes") as caught:
        state.write("x", 5)
    assert caught.value.offset == 5
