"""Names and labels of one kind: selection, sharing, and what invalidates a kept answer."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from metrics_apiserver.base import errors
from metrics_apiserver.core import selector
from metrics_apiserver.kube import store
from metrics_apiserver.kube.store import ObjectStore

ALL = selector.parse("")
WEB = selector.parse("app=web")


def _item(namespace: str, name: str, **labels: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if namespace:
        metadata["namespace"] = namespace
    return {"metadata": metadata}


def _filled(*items: dict[str, Any]) -> ObjectStore:
    filled = ObjectStore()
    filled.begin()
    for item in items:
        filled.add(item)
    filled.commit()
    return filled


def test_selection() -> None:
    filled = _filled(
        _item("a", "web-2", app="web"),
        _item("a", "web-1", app="web"),
        _item("a", "db-1", app="db"),
        _item("b", "web-1", app="web"),
        {"metadata": {"name": "bare", "namespace": "b", "labels": None}},
    )
    assert len(filled) == 5
    assert filled.names("a", WEB) == ["web-1", "web-2"]
    assert filled.names("a", ALL) == ["db-1", "web-1", "web-2"]
    assert filled.names("nowhere", ALL) == []
    assert filled.objects("b", ALL) == [("b", "bare", {}), ("b", "web-1", {"app": "web"})]
    assert [each[:2] for each in filled.objects(None, WEB)] == [
        ("a", "web-1"),
        ("a", "web-2"),
        ("b", "web-1"),
    ]
    assert filled.get("a", "db-1") == {"app": "db"}
    assert filled.get("a", "nothing") is None
    assert filled.get("nowhere", "db-1") is None


def test_changes() -> None:
    filled = _filled(_item("a", "one", app="web"))
    assert filled.names("a", WEB) == ["one"]
    filled.apply("ADDED", _item("a", "two", app="web"))
    assert filled.names("a", WEB) == ["one", "two"]
    filled.apply("MODIFIED", _item("a", "one", app="db"))
    assert filled.names("a", WEB) == ["two"]
    filled.apply("MODIFIED", _item("a", "three", app="web"))
    assert len(filled) == 3
    filled.apply("DELETED", _item("a", "two"))
    filled.apply("DELETED", _item("a", "two"))
    filled.apply("DELETED", _item("z", "two"))
    assert filled.names("a", WEB) == ["three"]
    assert len(filled) == 2


def test_answers_are_kept_until_the_namespace_changes() -> None:
    filled = _filled(_item("a", "one", app="web"), _item("b", "one", app="web"))
    kept = filled.names("a", WEB)
    filled.apply("MODIFIED", _item("a", "one", app="web"))
    filled.apply("ADDED", _item("b", "two", app="web"))
    assert filled.names("a", WEB) is kept
    filled.apply("ADDED", _item("a", "two", app="web"))
    assert filled.names("a", WEB) == ["one", "two"]
    assert kept == ["one"]


def test_a_namespace_that_empties_and_comes_back() -> None:
    filled = _filled(_item("a", "one", app="web"))
    for _ in range(3):
        assert filled.names("a", WEB) == ["one"]
        filled.apply("DELETED", _item("a", "one"))
        assert filled.names("a", WEB) == []
        filled.apply("ADDED", _item("a", "one", app="web"))


def test_a_list_replaces_everything_at_once() -> None:
    filled = _filled(_item("a", "one", app="web"), _item("b", "one"))
    assert filled.names("a", WEB) == ["one"]
    filled.begin()
    filled.add(_item("a", "two", app="web"))
    assert filled.names("a", WEB) == ["one"]
    filled.apply("ADDED", _item("a", "late", app="web"))
    filled.begin()
    filled.add(_item("a", "three", app="web"))
    filled.commit()
    assert filled.names("a", WEB) == ["three"]
    assert filled.names("b", ALL) == []
    assert len(filled) == 1


@pytest.mark.parametrize(
    "item",
    [
        None,
        {},
        {"metadata": []},
        {"metadata": {}},
        {"metadata": {"name": ""}},
        {"metadata": {"name": 1}},
        {"metadata": {"name": "a", "namespace": None}},
        {"metadata": {"name": "a", "labels": [1]}},
        {"metadata": {"name": "a", "labels": {"a": 1}}},
    ],
)
def test_what_is_no_object(item: Any) -> None:
    filled = ObjectStore()
    with pytest.raises(errors.KubeError):
        filled.add(item)
    with pytest.raises(errors.KubeError):
        filled.apply("ADDED", item)


def test_equal_labels_are_held_once() -> None:
    filled = _filled(*(_item("a", f"web-{i}", app="web", tier="front") for i in range(3)))
    assert filled.get("a", "web-0") is filled.get("a", "web-1")
    named = _filled(_item("a", "web-0", pod="web-0"))
    labels = named.get("a", "web-0")
    assert labels is not None
    (name,) = named.names("a", ALL)
    assert labels["pod"] is name


def test_pools_and_answers_are_bounded() -> None:
    filled = _filled()
    for i in range(store.MAX_POOLED + 10):
        filled.apply("ADDED", _item(f"n{i % 50}", f"web-{i}", unique=f"u{i}"))
    assert len(filled) == store.MAX_POOLED + 10
    assert filled.get("n3", "web-3") == {"unique": "u3"}
    for i in range(store.MAX_SELECTIONS + 10):
        filled.names("small", selector.parse(f"unique=u{i}"))
    for _ in range(1000):
        filled.apply("ADDED", _item("n2", "other"))
        filled.apply("DELETED", _item("n2", "other"))
        filled.names("n2", ALL)
    assert filled._selected_names <= store.MAX_SELECTED_NAMES


def test_memory_of_a_pod() -> None:
    """10 000 pods as a deployment makes them, and 10 000 of stateful sets, whose labels differ."""

    def deployed(i: int) -> dict[str, Any]:
        template, app = f"{i // 20:09x}", f"app-{i // 40}"
        labels = {"app": app, "pod-template-hash": template, "version": "v1", "tier": "web"}
        return _item(f"ns-{i // 200}", f"{app}-{template}-{i:05x}", **labels)

    def stateful(i: int) -> dict[str, Any]:
        name = f"db-{i // 10}-{i % 10}"
        labels = {
            "app": f"db-{i // 10}",
            "controller-revision-hash": f"db-{i // 10}-5f6d7c8b9",
            "statefulset.kubernetes.io/pod-name": name,
            "apps.kubernetes.io/pod-index": str(i % 10),
        }
        return _item(f"ns-{i // 200}", name, **labels)

    for make, limit in ((deployed, 400), (stateful, 900)):
        tracemalloc.start()
        filled = ObjectStore()
        filled.begin()
        for i in range(10_000):
            filled.add(make(i))
        filled.commit()
        used, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert used / len(filled) < limit
