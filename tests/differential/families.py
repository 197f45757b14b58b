"""Families of series in the forms that people publish, over the objects of one small cluster.

A family is what one exporter gives: a gauge with its limit, a counter with its failures, or a
histogram. Its style says which labels name the objects.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.differential.styles import STYLES, Style

Labels = dict[str, str]

NAMESPACES = ("llm", "shop", "lab")
NODES = ("node-a", "node-b.example")
_RESOURCES: Mapping[str, tuple[str, str]] = {
    "pods": ("", "Pod"),
    "services": ("", "Service"),
    "deployments": ("apps", "Deployment"),
    "ingresses": ("networking.k8s.io", "Ingress"),
}


STEMS = [
    "http_requests",
    "http_server_requests",
    "vllm:num_requests",
    "vllm:generation_tokens",
    "vllm:kv_cache",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "nvidia_gpu_duty_cycle",
    "tgi_queue",
    "triton_inference",
    "rabbitmq_queue_messages",
    "kafka_consumergroup_lag",
    "redis_list",
    "sidekiq_jobs",
    "celery_tasks",
    "nginx_ingress_controller_requests",
    "istio_requests",
    "traefik_service",
    "haproxy_sessions",
    "kube_deployment_status",
    "kube_pod_status",
    "container_network",
    "container_cpu",
    "jvm_memory",
    "php_fpm",
    "websocket_connections",
    "probe_success",
    "node_load",
    "pg_stat_activity",
    "puma_backlog",
]
_EXTRAS: Mapping[str, tuple[str, ...]] = {
    "gpu": ("0", "1"),
    "queue": ("orders", "mail.retry", "a|b"),
    "code": ("200", "404", "503"),
    "model_name": ("chat-8b", "org/chat.70b"),
    "container": ("server", "proxy"),
}
KINDS = ("gauge", "gauge", "counter", "counter", "histogram")
_BOUNDS = ("0.1", "0.5", "1", "+Inf")
_ODD_VALUES = ("NaN", "+Inf", "-Inf", "1e300", "-9.3e15")


@dataclass(frozen=True)
class Family:
    """What one exporter gives.

    Attributes:
        extras: labels beside those of objects; more than one value of them for each object.
        lines: the series, in the format of `tests/fakes/exposition`.
    """

    stem: str
    kind: str
    style: Style
    extras: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def is_odd(self) -> bool:
        """Whether some of its values are no ordinary numbers."""
        return any(line.endswith(_ODD_VALUES) for line in self.lines)

    @property
    def names(self) -> tuple[str, str]:
        """The main series and its companion: a limit, the failures, or the count."""
        return {
            "gauge": (self.stem, f"{self.stem}_limit"),
            "counter": (f"{self.stem}_total", f"{self.stem}_failed_total"),
            "histogram": (f"{self.stem}_seconds_bucket", f"{self.stem}_seconds_count"),
        }[self.kind]


def objects_of(objects: list[dict[str, Any]], resource: str) -> Iterator[tuple[str, str]]:
    """(namespace, name) of every object of a resource."""
    kind = "Node" if resource == "nodes" else _RESOURCES[resource][1]
    for one in objects:
        if one["kind"] == kind:
            yield one["metadata"].get("namespace", ""), one["metadata"]["name"]


def family(rng: random.Random, stem: str, objects: list[dict[str, Any]]) -> Family:
    """A random family over the objects."""
    kind = rng.choice(KINDS)
    style = STYLES[rng.choice(tuple(STYLES))]
    extras = tuple(rng.sample(tuple(_EXTRAS), rng.choice((0, 0, 1, 1, 2))))
    empty = Family(stem, kind, style, extras, ())
    odd = rng.random() < 0.15
    lines: list[str] = []
    for labels in _label_sets(rng, style, objects):
        for one in _with_extras(rng, labels, extras):
            lines += _lines(rng, empty, one, odd)
    return Family(stem, kind, style, extras, tuple(lines))


def _label_sets(
    rng: random.Random, style: Style, objects: list[dict[str, Any]]
) -> Iterator[Labels]:
    """Labels of every object that has series: most of them, and one that does not exist."""
    fixed = dict(style.fixed)
    if not style.objects:
        yield from ({**fixed, style.namespace: one} for one in NAMESPACES if rng.random() < 0.9)
        return
    resource, label = next(iter(style.objects.items()))
    found = [one for one in objects_of(objects, resource) if rng.random() < 0.85]
    for space, name in [*found, (NAMESPACES[0] if style.namespace else "", "gone-0")]:
        labels = {**fixed, label: name}
        if style.namespace:
            labels[style.namespace] = space
        for other in list(style.objects.values())[1:]:
            labels[other] = name
        yield labels


def _with_extras(rng: random.Random, labels: Labels, extras: tuple[str, ...]) -> list[Labels]:
    sets = [labels]
    for extra in extras:
        values = _EXTRAS[extra]
        chosen = rng.sample(values, rng.randint(1, len(values)))
        sets = [{**one, extra: value} for one in sets for value in chosen]
    return sets


def _lines(rng: random.Random, one: Family, labels: Labels, odd: bool) -> Iterator[str]:
    main, companion = one.names
    if one.kind == "gauge":
        yield f"{_series(main, labels)} {_value(rng, odd)}"
        yield f"{_series(companion, labels)} {rng.choice((0, 4, 10, 128))}"
    elif one.kind == "counter":
        for name in (main, companion):
            yield f"{_series(name, labels)} {_rising(rng.choice((0, 0.25, 2, 8, 33.3)))}"
    else:
        count = 0.0
        for bound in _BOUNDS:
            count += rng.choice((0, 0.5, 3))
            yield f"{_series(main, {**labels, 'le': bound})} {_rising(count)}"
        yield f"{_series(companion, labels)} {_rising(count)}"
        total = main.replace("_bucket", "_sum")
        yield f"{_series(total, labels)} {_rising(count * 0.3)}"


def _rising(rate: float) -> str:
    return f"rate={rate:g} base=10000"


def _value(rng: random.Random, odd: bool) -> str:
    if odd and rng.random() < 0.3:
        return rng.choice(_ODD_VALUES)
    whole, fine = rng.randint(0, 100), round(rng.uniform(-5, 200), rng.choice((1, 3, 5)))
    return repr(rng.choice((0, whole, whole, fine, fine, rng.randint(0, 1 << 40), 10.9999999)))


def _series(name: str, labels: Labels) -> str:
    pairs = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{name}{{{pairs}}}"
