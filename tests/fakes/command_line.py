"""Settings of `serve` as its command line makes them."""

from __future__ import annotations

from pathlib import Path

from metrics_apiserver.options import serve
from metrics_apiserver.options.settings import ServeSettings
from tests.fakes.process import RULES


def serve_settings(directory: Path, *words: str) -> ServeSettings:
    """What these flags mean, with a rule file and a directory for pairs in `directory`."""
    rules = directory / "rules.yaml"
    if not rules.exists():
        rules.write_text(RULES)
    given = (
        f"--config={rules}",
        f"--cert-dir={directory / 'certificates'}",
        "--prometheus-url=http://127.0.0.1:1",
        "--bind-address=127.0.0.1",
        *words,
    )
    return serve.parse(given)
