"""Policies that roles share, and who else's identities are believed: managed policies, OpenID Connect providers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kind import Kind
from infra.cloud.rehearsal.kinds.iam import another, written
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, pairs, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props

# So many versions a policy may have: the oldest has to go before there is another.
_VERSIONS = 5
_SCHEME = "https://"


# --- policies --------------------------------------------------------------------------------------------------------
def _create_policy(aws: Aws, wanted: Props) -> str:
    answer = aws("iam").create_policy(
        PolicyName=wanted["name"],
        PolicyDocument=wanted["policy"],
        Tags=pairs(wanted.get("tags")),
        **given(wanted, Description="description", Path="path"),
    )
    return str(answer["Policy"]["Arn"])


def _read_policy(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("iam").get_policy(PolicyArn=made)["Policy"]
    version = aws("iam").get_policy_version(PolicyArn=made, VersionId=there["DefaultVersionId"])["PolicyVersion"]
    return {
        "name": there["PolicyName"],
        "policy": written(version["Document"]),
        "tags": mapping(there.get("Tags")),
        **found(there, arn="Arn", description="Description", path="Path"),
    }


def _versions(aws: Aws, made: str) -> list[str]:
    """Return the versions that do not count, the oldest first."""
    there = aws("iam").list_policy_versions(PolicyArn=made)["Versions"]
    return sorted(
        (str(each["VersionId"]) for each in there if not each["IsDefaultVersion"]), key=lambda name: int(name[1:])
    )


def _change_policy(aws: Aws, made: str, wanted: Props) -> None:
    others = _versions(aws, made)
    if len(others) + 1 >= _VERSIONS:
        aws("iam").delete_policy_version(PolicyArn=made, VersionId=others[0])
    aws("iam").create_policy_version(PolicyArn=made, PolicyDocument=wanted["policy"], SetAsDefault=True)


def _delete_policy(aws: Aws, made: str, _: Props) -> None:
    for each in _versions(aws, made):
        aws("iam").delete_policy_version(PolicyArn=made, VersionId=each)
    aws("iam").delete_policy(PolicyArn=made)


# --- providers -------------------------------------------------------------------------------------------------------
def _create_provider(aws: Aws, wanted: Props) -> str:
    answer = aws("iam").create_open_id_connect_provider(
        Url=wanted["url"],
        ClientIDList=wanted["clientIdLists"],
        Tags=pairs(wanted.get("tags")),
        **given(wanted, ThumbprintList="thumbprintLists"),
    )
    return str(answer["OpenIDConnectProviderArn"])


def _read_provider(aws: Aws, made: str, _: Props) -> Props | None:
    there = aws("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=made)
    return {
        "arn": made,
        "url": _SCHEME + there["Url"].removeprefix(_SCHEME),
        "clientIdLists": list(there["ClientIDList"]),
        "thumbprintLists": list(there["ThumbprintList"]),
        "tags": mapping(there.get("Tags")),
    }


def _change_clients(aws: Aws, made: str, wanted: Props) -> None:
    there = aws("iam").get_open_id_connect_provider(OpenIDConnectProviderArn=made)["ClientIDList"]
    for each in sorted({*there} - {*wanted["clientIdLists"]}):
        aws("iam").remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=made, ClientID=each)
    for each in sorted({*wanted["clientIdLists"]} - {*there}):
        aws("iam").add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=made, ClientID=each)


def _change_thumbprints(aws: Aws, made: str, wanted: Props) -> None:
    aws("iam").update_open_id_connect_provider_thumbprint(
        OpenIDConnectProviderArn=made, ThumbprintList=wanted["thumbprintLists"]
    )


_RETAG_POLICY = retag(
    lambda aws, made: mapping(aws("iam").list_policy_tags(PolicyArn=made)["Tags"]),
    lambda aws, made, tags: aws("iam").tag_policy(PolicyArn=made, Tags=tags),
    lambda aws, made, names: aws("iam").untag_policy(PolicyArn=made, TagKeys=names),
)
_RETAG_PROVIDER = retag(
    lambda aws, made: mapping(
        aws("iam").list_open_id_connect_provider_tags(OpenIDConnectProviderArn=made).get("Tags", ())
    ),
    lambda aws, made, tags: aws("iam").tag_open_id_connect_provider(OpenIDConnectProviderArn=made, Tags=tags),
    lambda aws, made, names: aws("iam").untag_open_id_connect_provider(OpenIDConnectProviderArn=made, TagKeys=names),
)

KINDS = (
    Kind(
        type="aws:iam/policy:Policy",
        create=_create_policy,
        read=_read_policy,
        delete=_delete_policy,
        updates={"policy": _change_policy, "tags": _RETAG_POLICY},
        fixed=frozenset({"name", "description", "path"}),
        drifts={"policy": another},
        defaults={"path": "/"},
    ),
    Kind(
        type="aws:iam/openIdConnectProvider:OpenIdConnectProvider",
        create=_create_provider,
        read=_read_provider,
        delete=lambda aws, made, _: aws("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=made),
        updates={
            "clientIdLists": _change_clients,
            "thumbprintLists": _change_thumbprints,
            "tags": _RETAG_PROVIDER,
        },
        fixed=frozenset({"url"}),
        drifts={
            "clientIdLists": lambda value: [*value, "drifted.example.com"],
            "thumbprintLists": lambda _: ["0" * 40],
        },
    ),
)
