"""Security groups, with their rules inline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from infra.cloud.rehearsal.kind import Kind, begun
from infra.cloud.rehearsal.kinds.shared import found, given, mapping
from infra.cloud.rehearsal.kinds.vpc import RETAG, arn, specification

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from infra.cloud.rehearsal.kind import Aws, Change
    from infra.cloud.rehearsal.values import Props

_ALL = "-1"
# A property of a rule, and where AWS has it: the list, and the name in it.
_SOURCES = {
    "cidrBlocks": ("IpRanges", "CidrIp"),
    "ipv6CidrBlocks": ("Ipv6Ranges", "CidrIpv6"),
    "prefixListIds": ("PrefixListIds", "PrefixListId"),
    "securityGroups": ("UserIdGroupPairs", "GroupId"),
}
_OPENED = {
    "protocol": "tcp",
    "fromPort": 22,
    "toPort": 22,
    "cidrBlocks": ["0.0.0.0/0"],
    "description": "opened by hand",
}


class Rule(NamedTuple):
    """One rule as AWS counts them: one port range, one source."""

    protocol: str
    first: int
    last: int
    description: str
    kind: str
    source: str


def rules(blocks: Iterable[Mapping[str, Any]], own: str) -> set[Rule]:
    """Return the rules that a program's blocks make; `own` is the group, for rules among its members."""
    made = set()
    for block in blocks:
        ports = (block["protocol"], block.get("fromPort", 0), block.get("toPort", 0), block.get("description", ""))
        for kind in _SOURCES:
            made |= {Rule(*ports, kind, source) for source in block.get(kind) or ()}
        if block.get("self"):
            made.add(Rule(*ports, "securityGroups", own))
    return made


def _there(permissions: Iterable[Mapping[str, Any]]) -> set[Rule]:
    return {
        Rule(
            each["IpProtocol"],
            each.get("FromPort", 0),
            each.get("ToPort", 0),
            source.get("Description", ""),
            kind,
            source[name],
        )
        for each in permissions
        for kind, (where, name) in _SOURCES.items()
        for source in each.get(where, ())
    }


def _blocks(there: Iterable[Rule], own: str) -> list[dict[str, Any]]:
    """Return rules as a program writes them: those that differ in their source alone are one block."""
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in sorted(there):
        itself = each.source == own
        kind = "self" if itself else each.kind
        block = made.setdefault(
            (*each[:4], kind), {"protocol": each.protocol, "fromPort": each.first, "toPort": each.last}
        )
        if each.description:
            block["description"] = each.description
        if itself:
            block["self"] = True
        else:
            block.setdefault(kind, []).append(each.source)
    return list(made.values())


def _permission(rule: Rule) -> dict[str, Any]:
    where, name = _SOURCES[rule.kind]
    ports = {} if rule.protocol == _ALL else {"FromPort": rule.first, "ToPort": rule.last}
    description = {"Description": rule.description} if rule.description else {}
    return {"IpProtocol": rule.protocol, **ports, where: [{name: rule.source, **description}]}


def _group(aws: Aws, made: str) -> dict[str, Any]:
    return dict(aws("ec2").describe_security_groups(GroupIds=[made])["SecurityGroups"][0])


def _change(direction: str, permissions: str) -> Change:
    """Return how the rules of one direction are changed: what is too much goes, what is missing comes."""

    def change(aws: Aws, made: str, wanted: Props) -> None:
        there, asked = _there(_group(aws, made)[permissions]), rules(wanted.get(direction) or (), made)
        revoke, authorize = (
            getattr(aws("ec2"), f"{verb}_security_group_{direction}") for verb in ("revoke", "authorize")
        )
        for call, which in ((revoke, there - asked), (authorize, asked - there)):
            if which:
                call(GroupId=made, IpPermissions=[_permission(each) for each in sorted(which)])

    return change


_INGRESS, _EGRESS = _change("ingress", "IpPermissions"), _change("egress", "IpPermissionsEgress")


def _create(aws: Aws, wanted: Props) -> str:
    arguments = given(wanted, GroupName="name", Description="description", VpcId="vpcId")
    made = str(aws("ec2").create_security_group(**arguments, **specification("security-group", wanted))["GroupId"])
    with begun(made):
        _INGRESS(aws, made, wanted)
        # AWS lets a new group speak to anybody.
        _EGRESS(aws, made, wanted)
    return made


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    group = _group(aws, made)
    return {
        "arn": arn(aws, "security-group", made),
        "ingress": _blocks(_there(group["IpPermissions"]), made),
        "egress": _blocks(_there(group["IpPermissionsEgress"]), made),
        "tags": mapping(group.get("Tags")),
        **found(group, name="GroupName", description="Description", vpcId="VpcId"),
    }


def _adopt(aws: Aws, wanted: Props) -> str:
    """Take over the group that came with the VPC."""
    filters = [{"Name": "vpc-id", "Values": [wanted["vpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
    made = str(aws("ec2").describe_security_groups(Filters=filters)["SecurityGroups"][0]["GroupId"])
    with begun(made):
        _INGRESS(aws, made, wanted)
        _EGRESS(aws, made, wanted)
        RETAG(aws, made, wanted)
    return made


_RULES = {"ingress": _INGRESS, "egress": _EGRESS, "tags": RETAG}
_DRIFTS = {direction: lambda value: [*value, _OPENED] for direction in ("ingress", "egress")}
_EXACT = frozenset(_DRIFTS)

KINDS = (
    Kind(
        type="aws:ec2/securityGroup:SecurityGroup",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("ec2").delete_security_group(GroupId=made),
        updates=_RULES,
        fixed=frozenset({"name", "description", "vpcId"}),
        drifts=_DRIFTS,
        exact=_EXACT,
    ),
    Kind(
        type="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        create=_adopt,
        read=_read,
        # It goes with its VPC.
        delete=lambda _aws, _made, _known: None,
        updates=_RULES,
        fixed=frozenset({"vpcId"}),
        drifts=_DRIFTS,
        exact=_EXACT,
    ),
)
