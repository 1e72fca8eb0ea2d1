"""A rehearsal: a stack is made, seen not to change, made to drift, changed and deleted, each time counted."""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
from botocore.exceptions import (  # type: ignore[import-untyped]  # botocore ships no types
    BotoCoreError,
    ClientError,
)

from infra.cloud.policies.rules import faults, stack_faults
from infra.cloud.program import build
from infra.cloud.rehearsal import drill
from infra.cloud.rehearsal.changes import CHANGES, changed
from infra.cloud.rehearsal.emulator import EmulatorError
from infra.cloud.rehearsal.kinds import KINDS
from infra.cloud.rehearsal.picture import svg
from infra.cloud.rehearsal.report import Report
from infra.cloud.rehearsal.steps import RehearsalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.lab import Lab
    from infra.cloud.rehearsal.state import Resource
    from infra.cloud.settings import Settings

# What an emulator cannot show at all; what it cannot tell of single properties is taken from the table.
OURS, ENGINE = "our small driver (no `pulumi` command here)", "Pulumi's engine"
UNSEEN = (
    "whether AWS grants what the policies allow: the emulator lets everybody do everything",
    "whether an instance boots, a group becomes healthy, a database answers, a snapshot is made and copied",
    "quotas, throttling, and how long AWS takes",
)
REFUSED = "refused, nothing deleted"
# Pulumi's engine and our driver say it differently.
PROTECTED = re.compile(r"protect(ed|ion)")
# What may break a rehearsal off: a step, AWS's own words outside of one, the emulator, the program.
_BREAKING = (RehearsalError, ClientError, BotoCoreError, EmulatorError, pulumi.RunError)


@dataclass(frozen=True)
class Rehearsal:
    """A stack at the emulator, its settings, and who is told how it goes."""

    lab: Lab
    settings: Settings
    seed: int
    tell: Callable[[str], None]
    picture: Path | None = None
    driver: str = OURS

    def run(self) -> Report:
        """Do all of it; a step that fails is a line that does not hold."""
        report, began = Report(self.lab.stack, self.driver, limits=list(UNSEEN)), time.monotonic()
        self.lab.seed = self.seed
        try:
            self._create(report)
            self._drift(report)
            self._change(report)
            self._destroy(report)
        except _BREAKING as error:
            report.add("broke off", error, holds=False)
        report.seconds = round(time.monotonic() - began, 1)
        return report

    def _program(self, settings: Settings | None = None) -> Callable[[], None]:
        return lambda: build(settings or self.settings)

    def _create(self, report: Report) -> None:
        self.tell("plan")
        planned = self.lab.plan(self._program())
        self.tell("up")
        made = self.lab.up(self._program())
        resources = self.lab.state.managed()
        report.limits = limits(self.lab)
        report.created = dict(sorted(Counter(each.type for each in resources).items()))
        report.add("resources planned", len(planned), holds=len(planned) == len(made) > 0)
        report.add("resources created", len(resources), holds=len(resources) == len(made))
        report.add("types of resources", len(report.created), holds=bool(report.created))
        refused = [fault for each in resources for fault in faults(each.type, each.inputs)]
        refused += stack_faults([(each.type, each.inputs) for each in resources])
        report.add("refused by a policy", "; ".join(refused) or 0, holds=not refused)
        if self.picture is not None:
            self.picture.write_text(svg(f"Stack {self.lab.stack}", self.lab.state.resources.values()), encoding="utf-8")
        self.tell("second plan")
        again = self.lab.plan(self._program())
        report.add("changes of a second plan", "; ".join(step.name for step in again) or 0, holds=not again)

    def _drift(self, report: Report) -> None:
        self.tell("drift")
        already = drill.named(self.lab.drifts())
        report.add("drifts before any", drill.told(already) or 0, holds=not already)
        before = drill.values(self.lab)
        injected = drill.injected(self.lab, random.Random(self.seed))  # noqa: S311 # nosec B311 - repeatable
        named = drill.named(self.lab.drifts())
        missed, surplus = injected - named, named - injected
        report.add("drifts injected", len(injected), holds=any(not name for _, name in injected))
        report.add("drifts named", len(injected & named), holds=not missed)
        if missed:
            report.add("drifts missed", drill.told(missed), holds=False)
        report.add("drifts that nobody injected", drill.told(surplus) or 0, holds=not surplus)
        self.tell("mend")
        self.lab.refresh()
        self.lab.up(self._program())
        left = self.lab.drifts()
        report.add("drifts left after up", "; ".join(each.line for each in left) or 0, holds=not left)
        # A plan that takes a drift for no difference leaves it there, and then it is no drift any more.
        others = drill.others(before, drill.values(self.lab))
        report.add("values not as before the drifts", drill.told(others) or 0, holds=not others)

    def _change(self, report: Report) -> None:
        for change in CHANGES:
            self.tell(f"change: {change.title}")
            try:
                steps = self.lab.plan(self._program(change.of(self.settings)))
            except RehearsalError as error:
                asked = change.refused(self.settings) and PROTECTED.search(str(error)) is not None
                report.add(f"change {change.title}", f"refused: {error}", holds=asked)
                continue
            found = {(step.op, step.name) for step in steps}
            wanted = change.expected(self.settings)
            surplus = ", ".join(f"{op} {name}" for op, name in sorted(found ^ wanted))
            figure = f"{len(found)} planned" + (f"; not as expected: {surplus}" if surplus else "")
            replaced = sorted(name for op, name in found if op == "replace")
            report.add(
                f"change {change.title}",
                figure + (f"; replaces {', '.join(replaced)}" if replaced else ""),
                holds=found == wanted,
            )

    def _destroy(self, report: Report) -> None:
        self.tell("destroy")
        if self.settings.database.protect:
            refusal = self._refusal()
            report.add("destroy of what is protected", refusal, holds=refusal == REFUSED)
        self.lab.up(self._program(unprotected(self.settings)))
        there = self.lab.state.managed()
        # Seen to find something, or it would find nothing afterwards, either.
        bearing = len(tagged(self.lab, there))
        report.add("things with the stack's tags before destroy", bearing, holds=bearing > 0)
        deleted = self.lab.destroy()
        report.add("resources deleted", len(deleted), holds=len(deleted) == len(there))
        stays = [each for each in there if each.retained]
        if stays:
            kept = all(self.lab.provider.read(each) is not None for each in stays)
            report.add("kept for other stacks", "; ".join(each.name for each in stays), holds=kept)
        gone = [each for each in there if not each.retained]
        left = [each.urn.rpartition("::")[2] for each in gone if self.lab.provider.read(each) is not None]
        left += tagged(self.lab, there)
        report.add("left after destroy", "; ".join(left) or 0, holds=not left)

    def _refusal(self) -> str:
        before = len(self.lab.state.managed())
        try:
            self.lab.destroy()
        except RehearsalError as error:
            after = len(self.lab.state.managed())
            return REFUSED if after == before else f"{before - after} deleted before: {error}"
        return "nothing refused"


def prepared(settings: Settings, lab: Lab) -> Settings:
    """Make what a stack expects to be there already, its domain's zone, and return settings that name it."""
    if settings.names.zone_id is None:
        return settings
    made = lab.reach(lab.region)("route53").create_hosted_zone(Name=settings.names.domain, CallerReference="rehearsal")
    return changed(settings, "names", zone_id=str(made["HostedZone"]["Id"]).rpartition("/")[2])


def unprotected(settings: Settings) -> Settings:
    """Return settings under which everything may be deleted."""
    return changed(settings, "database", protect=False)


def limits(lab: Lab) -> list[str]:
    """Return what this rehearsal could not show, each in a line."""
    types: dict[str, Resource] = {each.type: each for each in lab.state.managed()}
    unread = [f"{each}: {', '.join(sorted(KINDS[each].unread))}" for each in types if KINDS[each].unread]
    drifts = [f"not drifted: {line}" for line in drill.untouched(lab)]
    drifts += [f"imitated by us, since the emulator has none: {each}" for each in sorted(types) if KINDS[each].imitated]
    return [*UNSEEN, *(f"not asked back: {line}" for line in sorted(unread)), *drifts]


def tagged(lab: Lab, made: list[Resource]) -> list[str]:
    """Ask AWS itself, not the state, what still bears this stack's tags in any region that it used.

    What AWS shows for a while after its end, or keeps for a window in which it could be brought back, has ended.
    """
    regions = {lab.region, *(str(each.inputs["region"]) for each in made if "region" in each.inputs)}
    found = []
    for region in sorted(regions):
        aws = lab.reach(region)
        pages = aws("resourcegroupstaggingapi").get_paginator("get_resources")
        filters = [{"Key": "project", "Values": ["simplicity"]}, {"Key": "environment", "Values": [lab.stack]}]
        for page in pages.paginate(TagFilters=filters):
            arns = [str(each["ResourceARN"]) for each in page["ResourceTagMappingList"]]
            found += [arn for arn in arns if not ended(aws, arn)]
    return found


def ended(aws: Aws, arn: str) -> bool:
    """Whether AWS says of something that it has ended, or is to."""
    service, resource = arn.split(":")[2], arn.split(":", 5)[5]
    identity = resource.rpartition("/")[2]
    match service, resource.split("/")[0]:
        case "ec2", "instance":
            (reservation,) = aws("ec2").describe_instances(InstanceIds=[identity])["Reservations"]
            return str(reservation["Instances"][0]["State"]["Name"]) == "terminated"
        case "ec2", "natgateway":
            gateways = aws("ec2").describe_nat_gateways(NatGatewayIds=[identity])["NatGateways"]
            return all(each["State"] == "deleted" for each in gateways)
        case "kms", "key":
            return str(aws("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]) == "PendingDeletion"
        case "secretsmanager", _:
            return "DeletedDate" in aws("secretsmanager").describe_secret(SecretId=arn)
        case _:
            return False
