"""What holds for the repository as a whole: tests beside modules, documentation beside code."""

from __future__ import annotations

import ast
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from metrics_apiserver.base import errors
from metrics_apiserver.base.settings import flags_by_field
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.core.rules import config
from metrics_apiserver.options.settings import ServeSettings
from tests import docs

ROOT = docs.ROOT
PACKAGE = ROOT / "metrics_apiserver"
CONFIGURATION = docs.DOCS / "configuration.md"
RULE_FILE_KEYS = frozenset({"rules", "externalRules", "resourceRules"})
SHIPPED = ("config", "manifests")

# Each pattern is written so that it does not match itself.
FORBIDDEN = {
    "work left open": re.compile(r"\b(TO[D]O|FIXM[E]|XX[X])\b"),
    "a path of one machine": re.compile(r"(?<![\w./-])/wor[k]/"),
    "a folder that is not here": re.compile(r"(?<![\w./-])share[d]/"),
    "the making, not the made": re.compile(
        r"(?i)\b(this|another|previous|next|earlier|later) [s]essions?\b|\bsub-?agen[t]s?\b"
    ),
}
# Words that have no meaning in this field, and the field's own for what they would stand for.
OWN_WORDS = {
    "door": "server, listener",
    "doors": "listeners",
    "entrance": "listener",
    "evened": "averaged",
    "finding": "diagnostic",
    "findings": "diagnostics",
    "firstversion": "x509 v1",
    "harvest": "match",
    "judge": "validate",
    "judged": "validated",
    "keeper": "controller",
    "selfmade": "self-signed",
    "sighting": "observation",
    "sightings": "observations",
    "surroundings": "environment",
    "tally": "count",
    "told": "settings",
    "trouble": "condition",
    "troubles": "conditions",
    "upkeep": "periodic work",
    "vitals": "health",
    "world": "environment",
}
UNREAD_SUFFIXES = frozenset({".sum", ".lock", ".png", ".ico", ".pyc", ".whl", ".gz"})
SKIPPED_FOLDERS = frozenset({"__pycache__", "build", "dist", "site", "node_modules"})
KEPT_DOTS = frozenset({".ci", ".gitignore", ".dockerignore", ".pre-commit-config.yaml", ".github"})


def tree(folder: Path = ROOT) -> Iterator[Path]:
    """Every text file that belongs to the repository."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") and path.name not in KEPT_DOTS:
            continue
        if path.is_dir():
            if path.name not in SKIPPED_FOLDERS and not path.name.endswith(".egg-info"):
                yield from tree(path)
        elif path.suffix not in UNREAD_SUFFIXES:
            yield path


def modules() -> list[Path]:
    """Modules of the package, relative to it; `__init__` and `__main__` hold no behaviour."""
    found = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return sorted(path for path in found if not path.name.startswith("__"))


@pytest.mark.parametrize("module", modules(), ids=str)
def test_every_module_has_its_test_file(module: Path) -> None:
    name = module.with_name(f"test_{module.name}")
    places = [ROOT / "tests" / floor / name for floor in ("unit", "functional")]
    assert any(place.is_file() for place in places), f"no {' nor '.join(map(str, places))}"


@pytest.mark.parametrize("reason", FORBIDDEN)
def test_the_tree_holds_nothing_that_is_not_the_product(reason: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"
        for path in tree()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FORBIDDEN[reason].search(line)
    ]
    assert not found, "\n".join(found)


def test_every_class_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module in modules():
        for node in ast.walk(ast.parse((PACKAGE / module).read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{module}:{node.lineno}")
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def words(identifier: str) -> set[str]:
    """The words of a name, in snake case or camel case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def identifiers(module: Path) -> Iterator[tuple[str, str]]:
    """Each name in a module with its place; the module's own path comes first."""
    yield str(module), module.with_suffix("").as_posix()
    with tokenize.open(PACKAGE / module) as lines:
        for token in tokenize.generate_tokens(lines.readline):
            if token.type == tokenize.NAME:
                yield f"{module}:{token.start[0]}", token.string


def test_names_use_the_words_of_kubernetes_prometheus_and_go() -> None:
    found = [
        f"{place}: {name} (say {OWN_WORDS[word]})"
        for module in modules()
        for place, name in identifiers(module)
        for word in sorted(words(name) & OWN_WORDS.keys())
    ]
    assert not found, "\n".join(found)


def package_text(*without: str) -> str:
    """The package's code but for some of its modules."""
    return "\n".join(
        (PACKAGE / module).read_text() for module in modules() if str(module) not in without
    )


def test_every_flag_is_read() -> None:
    code = package_text("options/settings.py")
    fields = (path.rpartition(".")[2] for path in flags_by_field(ServeSettings))
    assert [field for field in fields if f".{field}" not in code] == []


def test_every_self_metric_is_fed() -> None:
    code = package_text("base/telemetry.py")
    metrics = [name for name in vars(Telemetry()) if name != "registry"]
    assert [name for name in metrics if f"telemetry.{name}" not in code] == []


# --- documentation -------------------------------------------------------------------------


@pytest.mark.parametrize("name", docs.tables())
def test_generated_tables_are_up_to_date(name: str) -> None:
    pages = {"self-metrics": "metrics.md", "flags of nvml-exporter": "gpu-exporter.md"}
    page = docs.DOCS / pages.get(name, CONFIGURATION.name)
    found = docs.written(page)
    assert name in found, f"{page.name} has no table called {name}"
    advice = "run `python -m tests.docs`"
    assert found[name].splitlines() == docs.tables()[name].splitlines(), advice


def test_no_table_is_left_over() -> None:
    found = {name for page in docs.DOCS.glob("*.md") for name in docs.written(page)}
    assert found == set(docs.tables())


SECTIONS = {
    "the file": "unknown: 1",
    "rules": "rules: [{unknown: 1}]",
    "seriesFilters": "rules: [{seriesFilters: [{unknown: 1}]}]",
    "resources": "rules: [{resources: {unknown: 1}}]",
    "overrides": "rules: [{resources: {overrides: {pod: {unknown: 1}}}}]",
    "name": "rules: [{name: {unknown: 1}}]",
    "externalRules": "externalRules: [{unknown: 1}]",
    "resourceRules": "resourceRules: {unknown: 1}",
    "resourceRules.cpu": "resourceRules: {cpu: {unknown: 1}}",
    "resourceRules.memory": "resourceRules: {memory: {unknown: 1}}",
}


def accepted_keys(text: str) -> list[str]:
    """The keys that the rule file may have beside an unknown one, out of the fault's advice."""
    with pytest.raises(errors.ConfigError) as refused:
        config.parse(text.encode(), "rules.yaml")
    advice = [
        fault.message.partition("known are ")[2]
        for fault in refused.value.diagnostics
        if fault.message.startswith("unknown key unknown")
    ]
    return advice[0].split(", ") if advice else []


@pytest.mark.parametrize("section", SECTIONS)
def test_every_rule_key_is_documented(section: str) -> None:
    keys = accepted_keys(SECTIONS[section])
    assert keys, "the fault names no keys"
    page = CONFIGURATION.read_text()
    assert [key for key in keys if f"`{key}`" not in page] == []


def rule_examples() -> dict[str, str]:
    """Every YAML block of the pages that is a whole rule file, by page and number."""
    fence = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return {
        f"{page.name} {number}": block
        for page in (ROOT / "README.md", *sorted(docs.DOCS.glob("*.md")))
        for number, block in enumerate(fence.findall(page.read_text()))
        if is_rule_file(next(yaml.safe_load_all(block)))
    }


def is_rule_file(document: object) -> bool:
    return isinstance(document, dict) and document.keys() <= RULE_FILE_KEYS


@pytest.mark.parametrize("place", rule_examples())
def test_every_rule_example_compiles(place: str) -> None:
    assert config.parse(rule_examples()[place].encode(), place).warnings == ()


# --- shipped files -------------------------------------------------------------------------


def shipped_files() -> list[Path]:
    """Every YAML file of the shipped folders and the package, relative to the repository."""
    found = [path for folder in (*SHIPPED, "metrics_apiserver") for path in tree(ROOT / folder)]
    return [path.relative_to(ROOT) for path in found if path.suffix in (".yaml", ".yml")]


@pytest.mark.parametrize("path", shipped_files(), ids=str)
def test_every_shipped_file_parses(path: Path) -> None:
    text = (ROOT / path).read_text()
    for document in yaml.safe_load_all(text):
        assert isinstance(document, dict), f"{path} holds something other than mappings"
        if is_rule_file(document):
            config.parse(text.encode(), str(path))
        elif document.get("kind") == "ConfigMap" and "config.yaml" in document["data"]:
            config.parse(document["data"]["config.yaml"].encode(), f"{path} config.yaml")
