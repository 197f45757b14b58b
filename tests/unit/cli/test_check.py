"""What `check` says of rule files, to a pipe, to a terminal and to programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from metrics_apiserver.cli import main
from tests.conformance import comparison

VALID = str(comparison.rules_file("broad"))


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.main(["check", *words])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


def test_valid_files(capsys: pytest.CaptureFixture[str]) -> None:
    seed = str(comparison.rules_file("seed"))
    code, out, _ = run(capsys, VALID, seed)
    assert code == 0
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith("  ")] == [
        f"{VALID}: valid: 9 rules, 4 external rules, resource rules",
        f"{seed}: valid: 2 rules, 0 external rules",
    ]
    bulk = "bulk: one query for all objects"
    assert lines[-2:] == [f"  rules[0]: {bulk}", f"  rules[1]: {bulk}"]
    assert any(line.startswith("  rules[4]: a query for each read: ") for line in lines)


def test_every_error_of_every_file_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bad, missing = tmp_path / "bad.yaml", tmp_path / "missing.yaml"
    bad.write_text("rules:\n- one: 1\n- two: 2\n")
    code, out, err = run(capsys, str(bad), str(missing), str(tmp_path), VALID)
    assert code == 2
    assert out.startswith(f"{VALID}: valid")
    assert f"{bad}:2:" in err
    assert f"{bad}:3:" in err
    assert f"{missing}: cannot read the rule file: No such file or directory" in err
    assert f"{tmp_path}: cannot read the rule file: Is a directory" in err


def test_warnings_are_shown_and_are_no_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    code, out, err = run(capsys, str(empty))
    assert code == 0
    assert out == f"{empty}: valid: 0 rules, 0 external rules\n"
    assert err.startswith(f"warning: {empty}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "arguments: name one rule file or more"),
        (["--output=json"], "arguments: name one rule file or more"),
        ([VALID, "--flag"], "--flag: unknown flag; see --help"),
        ([VALID, "--outputs=x"], "--outputs: unknown flag; did you mean --output?"),
        ([VALID, "-o", "yaml"], "--output: must be text or json"),
    ],
)
def test_wrong_words(capsys: pytest.CaptureFixture[str], words: list[str], message: str) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err.startswith(f"command line: {message}")
    assert len(err.splitlines()) == 1


def test_everything_wrong_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "--flag", "-o", "yaml")
    found = [line.split(": ")[1] for line in err.splitlines()]
    assert sorted(found) == ["--flag", "--output", "arguments"]


@pytest.mark.parametrize("form", ["<(cat {})", "- < {}", "- <<< 'surprise: 1'", "<(echo x: 1)"])
def test_pipes_and_standard_input(form: str) -> None:
    command = f"{sys.executable} -m metrics_apiserver check {form.format(VALID)}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    if VALID in command:
        assert (done.returncode, done.stderr) == (0, "")
        assert ": valid: 9 rules" in done.stdout
    else:
        assert done.returncode == 2
        assert ":1: unknown key" in done.stderr


def test_for_programs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad, empty = tmp_path / "bad.yaml", tmp_path / "empty.yaml"
    bad.write_text("rules: 1\nsurprise: 1\n")
    empty.write_text("")
    code, out, err = run(capsys, "-o=json", VALID, str(bad), str(empty))
    assert (code, err) == (2, "")
    valid, wrong, odd = json.loads(out)["files"]
    assert (valid["file"], valid["ok"], valid["diagnostics"]) == (VALID, True, [])
    assert valid["rules"] == {"custom": 9, "external": 4, "resource": True}
    assert valid["bulk"][0] == {"rule": "rules[0]", "bulk": True, "reason": ""}
    reasons = {one["rule"]: one["reason"] for one in valid["bulk"] if not one["bulk"]}
    assert reasons["rules[4]"]
    assert (wrong["ok"], wrong["rules"], wrong["bulk"]) == (False, None, [])
    assert [one["line"] for one in wrong["diagnostics"]] == [1, 2]
    assert [*wrong["diagnostics"][1]] == (
        ["severity", "code", "file", "line", "column", "path", "message", "cure"]
    )
    assert wrong["diagnostics"][1]["severity"] == "error"
    assert wrong["diagnostics"][1]["file"] == str(bad)
    assert odd["ok"]
    assert [one["severity"] for one in odd["diagnostics"]] == ["warning"]


def test_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules:\n- one: 1\n")
    code, out, err = run(capsys, str(bad), VALID)
    assert code == 2
    assert "\x1b[32mvalid\x1b[0m: 9 rules" in out
    assert "\x1b[" in err
    monkeypatch.setenv("NO_COLOR", "1")
    _, out, err = run(capsys, str(bad), VALID)
    assert "\x1b[3" not in out + err
    assert "    2 \x1b[0m| - one: 1" in err or "    2 | " in err
    table = out.splitlines()[1:]
    assert all(len(line) <= 80 for line in table)
    assert any("each read" in line for line in table)


METRICSQL = """\
rules:
- seriesQuery: orders
  resources: {overrides: {namespace: {resource: namespace}, pod: {resource: pod}}}
  metricsQuery: sum(<<.Series>>{<<.LabelMatchers>>}) by (<<.GroupBy>>) default 0
"""


def test_a_query_in_another_dialect(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(METRICSQL)
    for words in ((), ("--dialect=promql",)):
        code, out, err = run(capsys, str(file), *words)
        assert (code, out) == (2, "")
        assert f"{file}:4: rules[0].metricsQuery: is not valid PromQL: " in err
        assert "--dialect metricsql" in err
    code, out, err = run(capsys, "--dialect", "metricsql", str(file))
    assert code == 0
    assert f"{file}: valid: 1 rules" in out
    assert "rules[0]: a query for each read: the query does not parse" in out
    assert err.startswith(f"warning: {file}:4: rules[0].metricsQuery: is not PromQL as known here")


def test_an_unknown_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, VALID, "--dialect=sql")
    assert code == 2
    assert "--dialect" in err


def test_a_faulty_rule_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(METRICSQL.replace("default 0", "") + "- seriesQuery: doors\n")
    code, out, err = run(capsys, str(file))
    assert (code, out) == (2, "")
    assert f"{file}:5: rules[1].metricsQuery: is required" in err


def test_a_name_too_long_does_not_hide_the_other_files(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "a" * 300, VALID)
    assert code == 2
    assert err == f"{'a' * 300}: cannot read the rule file: File name too long\n"
    assert f"{VALID}: valid: " in out


def test_a_name_that_is_not_utf8(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "\udcff.yaml"
    file.write_text("rules: []")
    code, out, _ = run(capsys, "-o", "json", str(file))
    assert code == 0
    assert json.loads(out)["files"][0]["file"] == str(file)
