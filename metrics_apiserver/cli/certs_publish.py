"""`certs publish`: runs the certificate controller of the server once, from a command line.

It can be stopped at any moment without an interruption of service, and run again to continue. A
pair from a directory takes the same steps: its authority is trusted first, the pair is written into
the Secret after a wait, and the old authority is removed after another wait.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path

from metrics_apiserver.base import files
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.base.telemetry import Telemetry
from metrics_apiserver.certs import pair, publish, rotation, verify
from metrics_apiserver.certs.issue import Pair
from metrics_apiserver.certs.rotation import Published, Step, View, Waited
from metrics_apiserver.certs.source import Made, PairSource
from metrics_apiserver.cli import certs_issue, output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.controllers import self_managed
from metrics_apiserver.controllers.certificates import CertificateController, RotationTiming
from metrics_apiserver.controllers.published import PublishedState
from metrics_apiserver.options import certs
from metrics_apiserver.options.certs import PublishSettings

FORCED = {"": None, "pair": Step.RENEW, "authority": Step.STAGE}


def run(parsed: Parsed) -> int:
    """Publishes and prints; the exit code.

    Raises:
        errors.ConfigError: flags, files or a kubeconfig that cannot be used.
        errors.KubeError: the cluster refused or could not be reached.
        OSError: files that cannot be read.
    """
    settings = certs.publish(parsed)
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    source = _source(settings, now)
    try:
        return asyncio.run(_run(settings, source))
    except KeyboardInterrupt:
        output.remark("stopped; run it again to continue")
        return 1


async def _run(settings: PublishSettings, source: PairSource) -> int:
    # Imported late: the official client takes half a second, which --help need not wait for.
    from metrics_apiserver.cli.cluster import Cluster

    wanted = settings.certificates
    async with Cluster(settings.kubeconfig) as client:
        objects = self_managed.make_objects(client, wanted)
        if settings.dry_run:
            _preview(await objects.read(), source, settings)
            return 0
        timing = RotationTiming(wanted.overlap_seconds, wanted.interval_seconds)
        controller = CertificateController(objects, source, timing, Telemetry())
        controller.forced = FORCED[settings.rotate]
        return await _publish(controller, wait=settings.wait, seconds=wanted.overlap_seconds)


async def _publish(controller: CertificateController, *, wait: bool, seconds: float) -> int:
    reported = -1
    problem = ""
    while True:
        delay = await controller.turn()
        for step in controller.performed[max(reported, 0) :]:
            output.say(step.value)
        advanced, reported = len(controller.performed) > reported, len(controller.performed)
        if controller.problem != problem:
            problem = controller.problem
            output.remark(problem)
        if controller.failed:
            return 1
        if controller.settled:
            output.say("everything is as it should be")
            return 0
        if not wait:
            output.say("not finished: run this again, or let servers with --cert-secret continue")
            return 0
        if advanced:
            output.remark(f"waiting up to {seconds:g} s for clients to see it; safe to stop")
        await asyncio.sleep(delay)


def _source(settings: PublishSettings, now: dt.datetime) -> PairSource:
    wanted = settings.certificates
    if not settings.directory:
        return self_managed.make_source(wanted)
    where = certs_issue.serving_files(Path(settings.directory))
    bundle = files.read(certs_issue.authority_files(Path(settings.directory)).certificate)
    given = Pair(files.read(where.certificate), files.read(where.key))
    try:
        found = pair.inspect(given.certificate, given.key)
        anchor = verify.verify_server(given.certificate, bundle, now)
    except (pair.PairRefused, verify.CertificateRefused) as error:
        raise _error(f"{where.certificate} cannot be published: {error}") from None
    if lacking := found.lacking(wanted.hosts[:1]):
        raise _error(f"{where.certificate} does not name {lacking[0]}")
    return PairSource(wanted.hosts, given=Made(given, anchor))


def _error(text: str) -> ConfigError:
    return ConfigError("command line", (Diagnostic(text, path="--directory"),))


def _preview(state: PublishedState, source: PairSource, settings: PublishSettings) -> None:
    """Prints the steps that would be taken now, and the objects after them."""
    view, steps = _plan(state.view, source, FORCED[settings.rotate])
    output.remark(f"would do: {', '.join(step.value for step in steps) or 'nothing'}")
    for text in state.left_alone:
        output.remark(text)
    secret = publish.Name(settings.certificates.secret_namespace, settings.certificates.secret_name)
    redacted = settings.output != "yaml"
    documents = [publish.secret_manifest(secret, view.material, redacted=redacted)]
    for one in view.published:
        documents += publish.api_service_manifests([one.name], one.bundle)
    output.write_manifests(documents)


def _plan(view: View, source: PairSource, forced: Step | None) -> tuple[View, list[Step]]:
    """The steps that need no wait, and the objects after them."""
    steps: list[Step] = []
    while True:
        step = rotation.decide(view, Waited(), source)
        if step is Step.REST and forced and view.material.upcoming is None:
            step, forced = forced, None
        if step is Step.REST:
            return view, steps
        steps.append(step)
        material = rotation.perform(step, view, source)
        wanted = rotation.bundles(view, Waited()) if step is Step.PUBLISH else {}
        published = tuple(
            Published(one.name, wanted.get(one.name, one.bundle), one.unverified)
            for one in view.published
        )
        view = View(published, material, view.now)


command = FlagCommand(
    "publish",
    certs.PUBLISH,
    run,
    description="""\
Publish a certificate and its CA, and renew what is due.

Needs --secret=NAMESPACE/NAME and --service=NAME.NAMESPACE. It can be stopped
at any moment without an interruption of service; run it again to continue.
""",
)
