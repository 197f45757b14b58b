"""What may stand as a Kubernetes label key and value, with the faults in apimachinery's words.

Follows `pkg/api/validate/content/kube.go` and `dns.go`; lengths are counted in UTF-8 bytes.
"""

from __future__ import annotations

import re
from typing import Final

_NAME_FORMAT: Final = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE_FORMAT: Final = f"({_NAME_FORMAT})?"
_LABEL_FORMAT: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_PREFIX_FORMAT: Final = rf"{_LABEL_FORMAT}(\.{_LABEL_FORMAT})*"
_NAME: Final = re.compile(_NAME_FORMAT)
_VALUE: Final = re.compile(_VALUE_FORMAT)
_PREFIX: Final = re.compile(_PREFIX_FORMAT)
_NAME_MAX: Final = 63
_PREFIX_MAX: Final = 253

_NAME_ADVICE: Final = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
    f"regex used for validation is '{_NAME_FORMAT}')"
)
_VALUE_ADVICE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    f"or '12345', regex used for validation is '{_VALUE_FORMAT}')"
)
_PREFIX_ADVICE: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', "
    f"regex used for validation is '{_PREFIX_FORMAT}')"
)


def key_faults(key: str) -> list[str]:
    """What is wrong with a label key (`name` or `prefix/name`); empty when nothing is."""
    parts = key.split("/")
    if len(parts) > 2:
        advice = f"a valid label key {_NAME_ADVICE} with an optional DNS subdomain prefix and '/'"
        return [f"{advice} (e.g. 'example.com/MyName')"]
    faults = [f"prefix part {fault}" for prefix in parts[:-1] for fault in _prefix_faults(prefix)]
    name = parts[-1]
    if not name:
        faults.append("name part must be non-empty")
    elif _size(name) > _NAME_MAX:
        faults.append(f"name part must be no more than {_NAME_MAX} bytes")
    if not _NAME.fullmatch(name):
        faults.append(f"name part {_NAME_ADVICE}")
    return faults


def value_faults(value: str) -> list[str]:
    """What is wrong with a label value; empty when nothing is."""
    faults = []
    if _size(value) > _NAME_MAX:
        faults.append(f"must be no more than {_NAME_MAX} bytes")
    if not _VALUE.fullmatch(value):
        faults.append(_VALUE_ADVICE)
    return faults


def _prefix_faults(prefix: str) -> list[str]:
    if not prefix:
        return ["must be non-empty"]
    faults = []
    if _size(prefix) > _PREFIX_MAX:
        faults.append(f"must be no more than {_PREFIX_MAX} bytes")
    if not _PREFIX.fullmatch(prefix):
        faults.append(_PREFIX_ADVICE)
    return faults


def _size(text: str) -> int:
    # A byte that was not UTF-8 stands as one lone surrogate, which `replace` counts as one byte.
    return len(text.encode(errors="replace"))
