"""The catalogue: codes are unique and stable, and core says nothing without one."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_apiserver.base.diagnostics import Diagnostic, Kind
from metrics_apiserver.core import diagnostics
from metrics_apiserver.core.diagnostics import CATALOGUE

CORE = Path(diagnostics.__file__).parent
# A code that was given away once stays: logs, dashboards and pages refer to it.
STABLE = {
    "MA101": "not-yaml",
    "MA103": "unknown-key",
    "MA110": "invalid-series-query",
    "MA111": "invalid-query",
    "MA201": "waiting",
    "MA202": "repeated",
    "MA203": "unassociated",
    "MA204": "unnameable",
    "MA205": "collision",
    "MA206": "shadowed",
    "MA207": "unmapped",
    "MA208": "ambiguous",
    "MA220": "unreachable",
}


def defined() -> list[Kind]:
    return [value for value in vars(diagnostics).values() if isinstance(value, Kind)]


def test_codes_and_names_are_unique() -> None:
    kinds = defined()
    assert len({kind.code for kind in kinds}) == len({kind.name for kind in kinds}) == len(kinds)
    assert {kind.code: kind for kind in kinds} == CATALOGUE


def test_codes_are_stable() -> None:
    assert {code: CATALOGUE[code].name for code in STABLE} == STABLE


@pytest.mark.parametrize("kind", defined(), ids=lambda kind: kind.code)
def test_a_kind_is_whole(kind: Kind) -> None:
    assert len(kind.code) == 5
    assert kind.code[:3] in ("MA1", "MA2")
    assert kind.code[3:].isdigit()
    assert kind.name.replace("-", "").isalpha()
    assert kind.name.islower()
    assert kind.title
    assert not kind.title.endswith(".")
    assert kind.cure.endswith(".")


def test_a_case_carries_what_its_kind_says() -> None:
    assert diagnostics.SHADOWED.at("text", "rules[0]", 3) == Diagnostic(
        "text",
        "rules[0]",
        3,
        code="MA206",
        severity="warning",
        cure=diagnostics.SHADOWED.cure,
    )


def calls(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_core_makes_no_diagnostic_without_a_code() -> None:
    files = [file for file in CORE.rglob("*.py") if file != Path(diagnostics.__file__)]
    assert files
    made = {(file.name, name) for file in files for name in calls(file) if "Diagnostic" in name}
    assert made == set()


def test_every_kind_is_used() -> None:
    package = CORE.parent
    texts = [
        file.read_text()
        for room in ("core", "provider")
        for file in (package / room).rglob("*.py")
        if file != Path(diagnostics.__file__)
    ]
    names = [name for name, value in vars(diagnostics).items() if isinstance(value, Kind)]
    assert [
        name for name in names if not any(f"diagnostics.{name}" in text for text in texts)
    ] == []
