"""The generated tables of docs/: flags and self-metrics, out of the tables that the code reads.

`python -m tests.docs` writes each table between its markers, `<!-- table: NAME -->` and
`<!-- end -->`; tests/test_house.py compares. Prose around the markers is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from metrics_apiserver.base import flaghelp, flags
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.exporter import flags as exporter
from metrics_apiserver.options import serve

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
_TABLE = re.compile(r"<!-- table: (?P<name>[^>]+?) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)


def flag_tables() -> dict[str, str]:
    """One table for each group of the server's flags, by the group's name; one of the exporter."""
    groups: dict[str, list[flags.Flag]] = {}
    for flag in serve.TABLE:
        groups.setdefault(flag.group, []).append(flag)
    groups["nvml-exporter"] = list(exporter.TABLE)
    return {
        group: _table(("Flag", "Kind", "Default", "Meaning"), map(_flag_row, members))
        for group, members in groups.items()
    }


def _flag_row(flag: flags.Flag) -> tuple[str, ...]:
    default = f"${flag.environment}" if flag.environment else ""
    default = default or flaghelp.format_value(flag, flag.default)
    kind = "duration" if flag.kind == "seconds" else flag.kind
    return f"`--{flag.name}`", kind, f"`{default}`" if default else "", flag.help


def metric_table() -> str:
    """Every self-metric."""
    telemetry = Telemetry()
    rows = []
    for family in telemetry.registry.collect():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = ", ".join(f"`{label}`" for label in _labels(telemetry, family.name))
        rows.append((f"`{name}`", family.type, labels, family.documentation))
    return _table(("Metric", "Type", "Labels", "Meaning"), rows)


def _labels(telemetry: Telemetry, family: str) -> tuple[str, ...]:
    for metric in vars(telemetry).values():
        if getattr(metric, "_name", None) == family:
            return tuple(metric._labelnames)
    raise LookupError(f"no attribute of Telemetry holds {family}")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [_line(head), _line(("---",) * len(head))]
    lines += [_line(tuple(cell.replace("|", r"\|") for cell in row)) for row in rows]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"


def tables() -> Mapping[str, str]:
    """Every generated table by the name in its marker."""
    named = {f"flags of {group}": text for group, text in flag_tables().items()}
    return {**named, "self-metrics": metric_table()}


def written(page: Path) -> dict[str, str]:
    """The generated tables as they stand in a page."""
    return {match["name"]: match["body"] for match in _TABLE.finditer(page.read_text())}


def write() -> None:
    """Renews every table of every page."""
    known = tables()
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text()
        renewed = _TABLE.sub(
            lambda match: f"<!-- table: {match['name']} -->\n{known[match['name']]}<!-- end -->",
            text,
        )
        if renewed != text:
            page.write_text(renewed)


if __name__ == "__main__":
    write()
