"""`python -m metrics_apiserver` is the command `metrics-apiserver`."""

from metrics_apiserver.cli.main import main

raise SystemExit(main())
