"""Pods that GPUs are allocated to: from the kubelet, from cgroups, or from a pod's environment."""
