"""Every format of cgroup path that the kubelet and container runtimes use."""

from __future__ import annotations

import pytest

from metrics_apiserver.exporter.attribution import cgroups
from metrics_apiserver.exporter.attribution.cgroups import ContainerCgroup

UID = "8cf0a1b2-1111-4222-8333-0123456789ab"
UNDERSCORED = UID.replace("-", "_")
STATIC = "0123456789abcdef0123456789abcdef"
CID = "ab" * 32
V1 = "".join(f"{n}:{name}:/\n" for n, name in enumerate(("pids", "freezer", "devices")))


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/burstable/pod{UID}/{CID}",
        f"/kubepods/pod{UID}/{CID}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice/cri-containerd-{CID}.scope",
        f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-{CID}.scope",
        f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-{CID}.scope/container",
        f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UNDERSCORED}.slice/docker-{CID}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-pod{UNDERSCORED}.slice:cri-containerd:{CID}",
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDERSCORED}.slice/cri-containerd-{CID}.scope",
        f"/../../kubepods-pod{UNDERSCORED}.slice/cri-containerd-{CID}.scope",
    ],
)
def test_a_path_of_a_pod(path: str) -> None:
    assert cgroups.parse(f"0::{path}\n") == ContainerCgroup(UID, CID)
    assert cgroups.parse(f"{V1}9:memory:{path}\n") == ContainerCgroup(UID, CID), (
        "any of several lines"
    )


def test_static_pods_have_no_dashes() -> None:
    path = f"/kubepods/burstable/pod{STATIC}/{CID}"
    assert cgroups.parse(f"0::{path}") == ContainerCgroup(STATIC, CID)


def test_a_pod_without_its_container() -> None:
    assert cgroups.parse(f"0::/kubepods/pod{UID}") == ContainerCgroup(UID, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0::/\n",
        "0::/system.slice/sshd.service",
        f"0::/docker/{CID}",
        f"0::/../cri-containerd-{CID}.scope",
        f"0::/kubepods/podX{UID}",
        f"0::/podcasts/{UID}",
    ],
)
def test_outside_of_pods(text: str) -> None:
    assert cgroups.parse(text) is None
