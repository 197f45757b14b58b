"""TLS contexts for clients, with the rules of Go's crypto/tls.

Any certificate of a bundle is an anchor, whoever signed it, and the strict RFC 5280 checks that
Python 3.13 began to make are off, because many private authorities lack key identifiers. TLS 1.2
is the oldest version. Material comes as bytes, so that what was checked is what is used; texts of
errors hold none of it.
"""

from __future__ import annotations

import ssl

from metrics_apiserver.base.files import private_file

Pair = tuple[bytes, bytes]
"""PEM of a client certificate (with its chain) and of its key."""


def build_client_context(
    ca: bytes | None, pair: Pair | None, *, verify: bool = True
) -> ssl.SSLContext:
    """A client context.

    Args:
        ca: PEM bundle; None for the system's roots.
        pair: client certificate and key.
        verify: False accepts any server, as `insecure-skip-tls-verify` asks for.

    Raises:
        ValueError: the material cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cadata=ca.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError("the certificate authority is not a PEM certificate") from error
    if pair is not None:
        with private_file(b"\n".join(pair)) as name:
            try:
                # A password that cannot fit: OpenSSL would ask the terminal for one otherwise.
                context.load_cert_chain(name, password=lambda: b"")
            except (ssl.SSLError, OSError, ValueError) as error:
                message = "the client certificate and key are not a matching PEM pair"
                raise ValueError(message) from error
    return context
