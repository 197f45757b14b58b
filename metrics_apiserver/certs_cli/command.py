"""Chooses the command, and says in one line what could not be done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from metrics_apiserver import flags
from metrics_apiserver.app.backends import wall_clock
from metrics_apiserver.certs_cli import inspect, issue, options, publish
from metrics_apiserver.certs_cli.streams import Streams
from metrics_apiserver.core import errors
from metrics_apiserver.flags import Parsed

_COMMANDS: Mapping[str, Callable[[Parsed, Streams, dt.datetime], int]] = {
    "issue": issue.run,
    "publish": publish.run,
    "inspect": inspect.run,
}


def run(words: Sequence[str], streams: Streams) -> int:
    """Runs `certs WORDS`; the exit code: 0 done, 1 failed or not good, 2 wrong input.

    Raises:
        errors.ConfigError: flags or files that cannot be used.
    """
    name, *rest = words or ("--help",)
    if name in ("--help", "-h"):
        streams.out.write(options.USAGE)
        return 0
    if name not in _COMMANDS:
        streams.remark(f"unknown command certs {name!r}\n\n{options.USAGE.rstrip()}")
        return 2
    if "--help" in rest or "-h" in rest:
        streams.say(f"{options.USAGE}\n{flags.render_help(options.TABLES[name])}")
        return 0
    parsed = options.parse(name, rest)
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    try:
        return _COMMANDS[name](parsed, streams, now)
    except errors.KubeError as error:
        streams.remark(f"{error.message} ({error.detail})" if error.detail else error.message)
    except OSError as error:
        streams.remark(f"{error.filename or 'connection'}: {error.strerror or error}")
    except KeyboardInterrupt:
        streams.remark("stopped; run it again to go on")
    return 1
