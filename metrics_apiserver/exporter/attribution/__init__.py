"""Who holds which GPU: from the kubelet, from cgroups of processes, or from a pod's own env."""
