"""The chart's README is generated from its values, each of which has a description."""

from __future__ import annotations

import tomllib
from urllib.parse import urlsplit

import pytest
import yaml

from tests import chart_readme
from tests.builds import ROOT
from tests.helm import CHART

CHART_FILE = yaml.safe_load((CHART / "Chart.yaml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_readme_is_up_to_date() -> None:
    advice = "run `python -m tests.chart_readme`"
    assert chart_readme.README.read_text() == chart_readme.render(), advice


@pytest.mark.parametrize("value", list(chart_readme.rows()), ids=lambda value: value.name)
def test_every_value_has_a_section_and_a_description(value: chart_readme.Value) -> None:
    assert value.section
    assert value.description or not chart_readme.is_whole(value.path)


def test_every_key_of_the_values_is_in_the_readme_or_in_a_row_of_it() -> None:
    listed = {value.path for value in chart_readme.rows()}
    for value in chart_readme.values():
        above = [value.path[:depth] for depth in range(1, len(value.path) + 1)]
        assert any(path in listed for path in above), value.name


def test_the_chart_says_where_it_comes_from() -> None:
    repository = PROJECT["urls"]["Repository"]
    assert CHART_FILE["home"] == PROJECT["urls"]["Homepage"]
    assert CHART_FILE["sources"] == [repository]
    assert CHART_FILE["maintainers"][0]["name"] == PROJECT["maintainers"][0]["name"]
    icon = urlsplit(CHART_FILE["icon"])
    assert icon.netloc == "raw.githubusercontent.com"
    assert (ROOT / icon.path.partition("/main/")[2]).read_text().startswith("<svg")


def test_artifact_hub_can_read_its_annotations() -> None:
    found = CHART_FILE["annotations"]
    assert found["artifacthub.io/license"] == PROJECT["license"]
    for key in ("links", "changes"):
        assert yaml.safe_load(found[f"artifacthub.io/{key}"])
    assert all(isinstance(text, str) for text in found.values())
