"""`metrics-apiserver certs`: issue, publish and inspect certificates by hand.

The same steps as the server takes with `--cert-secret`. Output goes to the streams that are passed
in; a key is printed only where `-o yaml` asks for it. Only `publish` writes into the cluster.
"""
