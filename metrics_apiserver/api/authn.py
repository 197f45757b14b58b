"""Who asks: front-proxy headers, then client certificate, then bearer token, then nobody.

The first that yields an identity wins. When none does, one failed attempt is enough for 401: a
caller with bad credentials never becomes anonymous. `X-Remote-*` headers count only behind a
certificate that the front proxy's own authority signed, for a name on its list, at this moment;
otherwise they are plain input and ignored. Certificates are checked at each request with the
current authorities and clock, chains are verified once for each connection and bundle. Follows
authenticatorfactory/delegating.go, headerrequest and x509; impersonation is refused, because
ignoring its headers would run the call as the stronger identity.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, Protocol, get_args
from urllib.parse import unquote

from multidict import MultiMapping

from metrics_apiserver.api import tokens
from metrics_apiserver.base import errors
from metrics_apiserver.base.caching import TTLCache
from metrics_apiserver.certs import verify
from metrics_apiserver.certs.peer import PeerChain
from metrics_apiserver.core.model import UserInfo
from metrics_apiserver.kube.requestheader import AuthenticationConfig

ANONYMOUS = UserInfo("system:anonymous", groups=("system:unauthenticated",))
_AUTHENTICATED = "system:authenticated"
_UNAUTHENTICATED = "system:unauthenticated"
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
_CHAINS = 4096
_REFUSED_SECONDS = 10.0
_VERIFIED_SECONDS = 3600.0
_MAX_KEPT_KEY = 256
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

Headers = MultiMapping[str]
Method = Literal["front-proxy", "certificate", "token", "anonymous", "refused"]
METHODS: tuple[Method, ...] = get_args(Method)


class TokenSource(Protocol):
    """Whose a bearer token is; None means nobody's."""

    async def authenticate(self, token: str) -> UserInfo | None: ...


class Authenticator:
    """Authenticates one request at a time.

    Args:
        config: the authorities and header names to use now.
        token_source: None when no cluster can be asked; then every token is refused.
        anonymous: whether callers without credentials are let through to authorisation.
        wall_clock: epoch seconds, for the validity of certificates.
        observe: called with how each caller was identified, one of `METHODS`.
        clock: monotonic seconds, for the memory of verified chains.
    """

    def __init__(
        self,
        config: Callable[[], AuthenticationConfig],
        token_source: TokenSource | None,
        *,
        wall_clock: Callable[[], float],
        anonymous: bool = True,
        observe: Callable[[Method], None] = lambda _method: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._token_source = token_source
        self._anonymous = anonymous
        self._wall_clock = wall_clock
        self._observe = observe
        self._chains: TTLCache[tuple[bytes, bytes], verify.ClientCertificate | str] = TTLCache(
            _CHAINS, clock
        )

    async def authenticate(self, peer: PeerChain | None, headers: Headers) -> UserInfo:
        """The caller's identity.

        Args:
            peer: the certificates of the connection's handshake.
            headers: names without regard to case, lines in order.

        Raises:
            errors.Unauthorized: credentials that do not hold, or none where some are needed.
            errors.Forbidden: impersonation is asked for.
        """
        method: Method = "refused"
        try:
            method, user = await self._identify(peer, headers)
        finally:
            self._observe(method)
        if "impersonate-" in [name[:12].lower() for name in headers]:
            raise errors.Forbidden("impersonation is not accepted on direct calls")
        return user

    async def _identify(self, peer: PeerChain | None, headers: Headers) -> tuple[Method, UserInfo]:
        failures: list[str] = []
        if peer is not None:
            found = self._by_certificate(peer, headers, failures)
            if found is not None:
                return found
        token = tokens.bearer_token(headers.get("Authorization", ""))
        if token:
            user = await self._by_token(token, failures)
            if user is not None:
                return "token", _authenticated(user)
        if failures:
            raise errors.Unauthorized(detail="; ".join(failures))
        if not self._anonymous:
            raise errors.Unauthorized(detail="no credentials")
        return "anonymous", ANONYMOUS

    def _by_certificate(
        self, peer: PeerChain, headers: Headers, failures: list[str]
    ) -> tuple[Method, UserInfo] | None:
        config = self._config()
        if config.requestheader_ca:
            proxy = self._verify(peer, config.requestheader_ca)
            if isinstance(proxy, str):
                failures.append(f"front proxy: {proxy}")
            elif config.allowed_names and proxy.common_name not in config.allowed_names:
                failures.append("front proxy: the common name is not an allowed one")
            else:
                user = user_from_headers(headers, config)
                if user is not None:
                    return "front-proxy", _authenticated(user)
        if config.client_ca:
            certificate = self._verify(peer, config.client_ca)
            if isinstance(certificate, str):
                failures.append(f"client certificate: {certificate}")
            elif len(certificate.uids) > 1 or "" in certificate.uids:
                failures.append("client certificate: not exactly one UID")
            elif certificate.common_name:
                return "certificate", _authenticated(_user_from_certificate(certificate))
        return None

    def _verify(self, peer: PeerChain, ca_pem: bytes) -> verify.ClientCertificate | str:
        """The verified leaf, or why it is none, for this bundle and at this moment."""
        now = self._wall_clock()
        key = (peer.fingerprint, ca_pem)
        known = self._chains.get(key)
        if isinstance(known, str) or (known is not None and known.is_valid_at(now)):
            return known
        try:
            found: verify.ClientCertificate | str = verify.verify_client(peer, ca_pem, now)
            self._chains.put(key, found, _VERIFIED_SECONDS)
        except verify.CertificateRefused as error:
            found = str(error)
            self._chains.put(key, found, _REFUSED_SECONDS)
        return found

    async def _by_token(self, token: str, failures: list[str]) -> UserInfo | None:
        if self._token_source is None:
            failures.append("token: no cluster to ask")
            return None
        try:
            user = await self._token_source.authenticate(token)
        except errors.Unavailable as error:
            failures.append(f"token: {error.message} {error.detail}")
            return None
        if user is None:
            failures.append("token: invalid")
        return user


def user_from_headers(headers: Headers, config: AuthenticationConfig) -> UserInfo | None:
    """The identity that a trusted front proxy wrote; None when it names no user.

    Every line of a group header is one group, commas and all.

    Raises:
        errors.Unauthorized: a value is not UTF-8.
    """
    name = _first(headers, config.username_headers)
    if not name:
        return None
    uid = _first(headers, config.uid_headers)
    groups = tuple(
        line for header in config.group_headers for line in headers.getall(header, ()) if line
    )
    extra = _extra(headers, config.extra_prefixes)
    _require_unicode(name, uid, *groups)
    for _, values in extra:
        _require_unicode(*values)
    return UserInfo(name, uid, groups, extra)


def _first(headers: Headers, names: tuple[str, ...]) -> str:
    """First line of the first named header that has something in its first line."""
    return next((value for name in names if (value := headers.get(name, ""))), "")


def _extra(headers: Headers, prefixes: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Keys lower-cased first, then percent-decoded; as they are when they do not decode."""
    found: dict[str, list[str]] = {}
    for prefix in prefixes:
        lowered, size = prefix.lower(), len(prefix)
        for header, value in headers.items():
            if header[:size].lower() == lowered:
                found.setdefault(_unescape(header[size:].lower()), []).append(value)
    if len(found) == 1:
        return tuple((key, tuple(values)) for key, values in found.items())
    return tuple(sorted((key, tuple(values)) for key, values in found.items()))


def _unescape(key: str) -> str:
    if "%" not in key:
        return key
    # The keys of a cluster are few; longer ones are not kept.
    return _decode(key) if len(key) <= _MAX_KEPT_KEY else _decode.__wrapped__(key)


@lru_cache(maxsize=256)
def _decode(key: str) -> str:
    if _BAD_ESCAPE.search(key):
        return key
    try:
        return unquote(key, errors="strict")
    except UnicodeDecodeError:
        return key


def _require_unicode(*texts: str) -> None:
    text = "".join(texts)
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError:
        raise errors.Unauthorized(detail="front proxy: a header is not UTF-8") from None


def _user_from_certificate(certificate: verify.ClientCertificate) -> UserInfo:
    return UserInfo(
        name=certificate.common_name,
        uid=certificate.uids[0] if certificate.uids else "",
        groups=certificate.organizations,
        extra=((_CREDENTIAL_ID, (f"X509SHA256={certificate.sha256}",)),),
    )


def _authenticated(user: UserInfo) -> UserInfo:
    """Adds `system:authenticated`, unless the identity is or says it is nobody's."""
    groups = user.groups
    if user.name == ANONYMOUS.name or _AUTHENTICATED in groups or _UNAUTHENTICATED in groups:
        return user
    return UserInfo(user.name, user.uid, (*groups, _AUTHENTICATED), user.extra)
