"""What the demos print fits into 80 columns and can be copied."""

from __future__ import annotations

import pytest

from tests.demo import show


def test_a_long_line_is_folded_and_what_follows_is_indented() -> None:
    line = "  AbleToScale     True    SucceededRescale    the HPA controller was able to update it"
    folded = show.fold(line)
    assert all(len(one) <= show.WIDTH for one in folded)
    assert folded[1].startswith("      ")
    assert " ".join(" ".join(folded).split()) == " ".join(line.split())


def test_a_short_line_and_an_empty_one_stay() -> None:
    assert show.fold("  Name:   gpu") == ["  Name:   gpu"]
    assert show.fold("") == [""]


def test_a_long_command_continues_on_a_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    path = '"$EXTERNAL/sls_ingress_qps?labelSelector=sls.project%3Dk8s-log"'
    show.command(f"kubectl get --raw {path}")
    first, second = capsys.readouterr().out.splitlines()[:2]
    assert first == "  $ kubectl get --raw \\"
    assert second.strip() == path


def test_columns_stand_under_their_heads() -> None:
    assert show.table_lines(("POD", "GPU BUSY"), [("bert-0", "78.0 %")]) == [
        "  POD      GPU BUSY",
        "  bert-0     78.0 %",
    ]
