"""Who is let in: users without rights are refused, and forged identities get nowhere.

Each forged call is made with a certificate that looks right in all but one point. Some are cut off
in the handshake already, which is a refusal too.
"""

from __future__ import annotations

import pytest
import trustme

from tests.e2e.harness import pki, polling, workload
from tests.e2e.harness.apiclient import Headers
from tests.e2e.harness.environment import Environment

PATH = (
    f"/apis/custom.metrics.k8s.io/v1beta1/namespaces/{workload.NAMESPACE}/pods/*/duty_cycle_current"
)
MASTERS: Headers = (("X-Remote-User", "admin"), ("X-Remote-Group", "system:masters"))
CUT_OFF = 0


@pytest.fixture(scope="module", autouse=True)
def value(served: Environment) -> None:
    polling.until("a value", lambda: served.cluster.get(PATH).items)


def status_of(environment: Environment, pair: pki.Pair | None, headers: Headers = ()) -> int:
    """The status of a direct call, CUT_OFF when the connection gave none."""
    try:
        return environment.server.client(pair, headers).get(PATH).status
    except OSError:
        return CUT_OFF


def test_a_user_without_rights_is_refused(environment: Environment) -> None:
    answer = environment.user("mallory").get(PATH)
    assert answer.status == 403
    assert answer.body["reason"] == "Forbidden"


def test_forged_headers_do_not_pass_the_aggregator(environment: Environment) -> None:
    assert environment.user("mallory").get(PATH, headers=MASTERS).status == 403


def test_the_front_proxy_is_believed(environment: Environment) -> None:
    assert status_of(environment, environment.control_plane.front_proxy, MASTERS) == 200


def test_a_proxied_user_without_rights_is_refused_by_the_server_too(
    environment: Environment,
) -> None:
    pair = environment.control_plane.front_proxy
    assert status_of(environment, pair, [("X-Remote-User", "mallory")]) == 403


def test_the_front_proxy_must_name_a_user(environment: Environment) -> None:
    assert status_of(environment, environment.control_plane.front_proxy) in {401, 403}


def test_headers_without_a_certificate_are_nobody(environment: Environment) -> None:
    assert status_of(environment, None, MASTERS) in {401, 403}


def test_a_client_certificate_is_no_front_proxy_whatever_its_name(environment: Environment) -> None:
    authority = environment.control_plane.client_authority
    pair = pki.issue(authority, environment.directory, "spoof", user="front-proxy-client")
    assert status_of(environment, pair, MASTERS) == 403


@pytest.mark.parametrize("name", ["evil", "front", "front-proxy-client-2", "FRONT-PROXY-CLIENT"])
def test_the_front_proxy_must_have_an_allowed_name(environment: Environment, name: str) -> None:
    authority = environment.control_plane.front_proxy_authority
    pair = pki.issue(authority, environment.directory, f"named-{name}", user=name)
    assert status_of(environment, pair, MASTERS) == 401


def test_a_front_proxy_of_another_authority_is_refused(environment: Environment) -> None:
    authority = trustme.CA(organization_unit_name="front-proxy-ca")
    pair = pki.issue(authority, environment.directory, "foreign", user="front-proxy-client")
    assert status_of(environment, pair, MASTERS) in {CUT_OFF, 401}


def test_nobody_is_impersonated_on_a_direct_call(environment: Environment) -> None:
    pair = environment.control_plane.client_certificate("intruder")
    headers = [("Impersonate-User", "admin"), ("Impersonate-Group", "system:masters")]
    assert status_of(environment, pair, headers) in {400, 401, 403}


def test_the_strong_are_not_served_with_impersonation_ignored(environment: Environment) -> None:
    headers = [("Impersonate-User", "nobody")]
    assert status_of(environment, environment.control_plane.admin, headers) in {400, 401, 403}


def test_tokens_are_reviewed(environment: Environment) -> None:
    account = f"/api/v1/namespaces/{workload.NAMESPACE}/serviceaccounts/default"
    polling.until("service account", lambda: environment.cluster.get(account).status == 200)
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = environment.cluster.request("POST", f"{account}/token", request)
    token = answer.body["status"]["token"]
    assert status_of(environment, None, [("Authorization", f"Bearer {token}")]) == 403
    assert status_of(environment, None, [("Authorization", "Bearer nonsense")]) == 401
