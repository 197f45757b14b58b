"""Credentials for Prometheus made of a kubeconfig or of the pod's service account."""

from __future__ import annotations

import ssl

from metrics_apiserver.kube import config, credentials, tls
from metrics_apiserver.options.settings import ServeSettings
from metrics_apiserver.prometheus.credentials import PrometheusCredentials


def from_kubeconfig(settings: ServeSettings) -> PrometheusCredentials | None:
    """What `--prometheus-auth-incluster` or `--prometheus-auth-config` ask for, else None.

    Raises:
        errors.ConfigError: the kubeconfig or the service account cannot be used.
    """
    if not settings.prometheus.auth_incluster and not settings.prometheus.auth_config:
        return None
    source = config.load(settings.prometheus.auth_config)
    identity = credentials.KubeCredentials(source)
    context = tls.ClientContext(source)
    default = ssl.create_default_context()

    async def authorization(renew: bool) -> str:
        header = await identity.header()
        if renew:
            # The same header again means that there is nothing fresher to try.
            return await identity.renew(header) or header
        return header

    def ssl_context() -> ssl.SSLContext:
        return context.current(identity.client_pair) or default

    return PrometheusCredentials(authorization, ssl_context)
