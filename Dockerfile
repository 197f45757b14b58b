# The server (default target) and the NVML exporter (--target nvml-exporter), for amd64 and arm64.
#
# Every package is pinned by hash in the lock files, comes as a wheel, and nothing is compiled: the
# same sources on the same base give the same files. For a release pin the base by digest as well:
#   --build-arg PYTHON_IMAGE=docker.io/library/python:3.13-slim-trixie@sha256:…
ARG PYTHON_IMAGE=docker.io/library/python:3.13.18-slim-trixie

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0
WORKDIR /src
COPY requirements-build.lock ./
RUN python3 -m venv /opt/tools \
 && /opt/tools/bin/pip install --require-hashes --no-deps --only-binary=:all: -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY metrics_apiserver metrics_apiserver
RUN /opt/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

# Bytecode that is never checked against its source: the root may be read-only, and times do not
# matter. None for the Kubernetes client, which only `certs` and credential plugins need.
FROM build AS server-files
COPY requirements.lock ./
RUN python3 -m venv --without-pip /opt/metrics-apiserver \
 && /opt/tools/bin/pip --python /opt/metrics-apiserver/bin/python install --no-compile --require-hashes --no-deps --only-binary=:all: -r requirements.lock \
 && /opt/tools/bin/pip --python /opt/metrics-apiserver/bin/python install --no-compile --no-deps --no-index /wheels/*.whl \
 && /opt/metrics-apiserver/bin/python -m compileall -q -x /kubernetes/ --invalidation-mode unchecked-hash /opt/metrics-apiserver/lib

FROM build AS nvml-exporter-files
COPY requirements-gpu.lock ./
RUN python3 -m venv --without-pip /opt/metrics-apiserver \
 && /opt/tools/bin/pip --python /opt/metrics-apiserver/bin/python install --no-compile --require-hashes --no-deps --only-binary=:all: -r requirements-gpu.lock \
 && /opt/tools/bin/pip --python /opt/metrics-apiserver/bin/python install --no-compile --no-deps --no-index /wheels/*.whl \
 && /opt/metrics-apiserver/bin/python -m compileall -q -x /kubernetes/ --invalidation-mode unchecked-hash /opt/metrics-apiserver/lib

# hadolint ignore=DL3006
FROM ${PYTHON_IMAGE} AS base
# Nothing is installed in a running container.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip*
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /tmp
USER 10001:10001
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The metrics-apiserver authors" \
      org.opencontainers.image.authors="The metrics-apiserver authors" \
      org.opencontainers.image.url="https://github.com/metrics-apiserver/metrics-apiserver" \
      org.opencontainers.image.source="https://github.com/metrics-apiserver/metrics-apiserver"

# The exporter opens device nodes and the kubelet's socket: its DaemonSet says which user it needs.
FROM base AS nvml-exporter
LABEL org.opencontainers.image.title="nvml-exporter" \
      org.opencontainers.image.description="A Prometheus exporter of NVIDIA GPU use per pod, from NVML, without DCGM and without privileges." \
      org.opencontainers.image.documentation="https://github.com/metrics-apiserver/metrics-apiserver/blob/main/docs/gpu-exporter.md"
COPY --from=nvml-exporter-files /opt/metrics-apiserver /opt/metrics-apiserver
ENTRYPOINT ["/opt/metrics-apiserver/bin/nvml-exporter"]

FROM base AS server
LABEL org.opencontainers.image.title="metrics-apiserver" \
      org.opencontainers.image.description="A Kubernetes metrics API server: custom, external and resource metrics from Prometheus for the stock HorizontalPodAutoscaler." \
      org.opencontainers.image.documentation="https://github.com/metrics-apiserver/metrics-apiserver/blob/main/docs/index.md"
COPY --from=server-files /opt/metrics-apiserver /opt/metrics-apiserver
# Where manifests say `command: [/adapter]`; as the first argument the server takes it itself.
COPY --from=server-files /opt/metrics-apiserver/bin/metrics-apiserver /adapter
EXPOSE 6443
ENTRYPOINT ["/opt/metrics-apiserver/bin/metrics-apiserver"]
