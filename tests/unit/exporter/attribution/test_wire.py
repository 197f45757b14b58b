"""The wire format, against Google's encoder and against garbage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_apiserver.exporter.attribution import wire
from tests.fakes.kubelet import messages


def test_strings_and_messages_among_other_fields() -> None:
    module = messages()
    made = module.ContainerResources(
        name="server",
        devices=[module.ContainerDevices(resource_name="nvidia.com/gpu", device_ids=["a", "b"])],
        cpu_ids=[1, 300],
        memory=[module.ContainerMemory(memory_type="m", size=1 << 62)],
    )
    found = list(wire.fields(made.SerializeToString()))
    assert found[0] == (1, b"server")
    assert [number for number, _ in found] == [1, 2, 3, 4]
    assert list(wire.fields(found[1][1])) == [(1, b"nvidia.com/gpu"), (2, b"a"), (2, b"b")]
    size = list(wire.fields(found[3][1]))
    assert size == [(1, b"m")], "numbers are skipped"


def test_fixed_fields_are_skipped() -> None:
    data = b"\x0d\x01\x02\x03\x04" + b"\x11" + bytes(8) + b"\x1a\x01x"
    assert list(wire.fields(data)) == [(3, b"x")]


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a",  # no length
        b"\x0a\x05abc",  # longer than the message
        b"\x0a\xff",  # a number that does not end
        b"\x08" + b"\xff" * 11,  # a number of eleven bytes
        b"\x0b",  # a group
        b"\x02\x00",  # field 0
        b"\x0d\x00",  # a short fixed field
    ],
)
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(wire.DecodeError):
        list(wire.fields(data))


@given(st.binary(max_size=200))
def test_only_decode_errors_are_raised(data: bytes) -> None:
    try:
        for _, content in wire.fields(data):
            assert len(content) <= len(data)
            wire.text(content)
    except wire.DecodeError:
        pass


@given(st.lists(st.tuples(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))))
def test_messages_of_protobuf_decode(rows: list[tuple[str, list[str]]]) -> None:
    module = messages()
    made = module.AllocatableResourcesResponse(
        devices=[module.ContainerDevices(resource_name=name, device_ids=ids) for name, ids in rows],
        cpu_ids=[1, 2, 3],
    )
    found = [content for number, content in wire.fields(made.SerializeToString()) if number == 1]
    read = []
    for one in found:
        parts = list(wire.fields(one))
        name = next((wire.text(part) for number, part in parts if number == 1), "")
        read.append((name, [wire.text(part) for number, part in parts if number == 2]))
    assert read == rows


def test_too_many_fields_are_refused() -> None:
    few = wire.fields(b"\x0a\x00" * (1 << 17))
    assert sum(1 for _ in few) == 1 << 17
    with pytest.raises(wire.DecodeError, match="too many"):
        list(wire.fields(b"\x0a\x00" * ((1 << 17) + 1)))
