"""Amazon's store behind Prometheus: workspaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infra.cloud.rehearsal.kind import Kind, begun, gone
from infra.cloud.rehearsal.kinds.shared import found, given, mapping, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws
    from infra.cloud.rehearsal.values import Props


def _create(aws: Aws, wanted: Props) -> str:
    answer = aws("amp").create_workspace(**given(wanted, alias="alias", kmsKeyArn="kmsKeyArn", tags="tags"))
    made = str(answer["workspaceId"])
    with begun(made):
        aws("amp").get_waiter("workspace_active").wait(workspaceId=made)
        if wanted.get("loggingConfiguration"):
            aws("amp").create_logging_configuration(workspaceId=made, **_logging(wanted))
    return made


def _logging(wanted: Props) -> dict[str, Any]:
    return {"logGroupArn": wanted["loggingConfiguration"]["logGroupArn"]}


def _workspace(aws: Aws, made: str) -> Props:
    there: Props = aws("amp").describe_workspace(workspaceId=made)["workspace"]
    return there


def _read(aws: Aws, made: str, _: Props) -> Props | None:
    there = _workspace(aws, made)
    return {
        "loggingConfiguration": _read_logging(aws, made),
        **found(there, arn="arn", alias="alias", tags="tags", prometheusEndpoint="prometheusEndpoint"),
    }


def _read_logging(aws: Aws, made: str) -> Props | None:
    client = aws("amp")
    try:
        there = client.describe_logging_configuration(workspaceId=made).get("loggingConfiguration")
    except client.exceptions.ClientError as error:
        if gone(error):
            return None
        raise
    return found(there, logGroupArn="logGroupArn") if there else None


def _change_logging(aws: Aws, made: str, wanted: Props) -> None:
    there = _read_logging(aws, made)
    if not wanted.get("loggingConfiguration"):
        aws("amp").delete_logging_configuration(workspaceId=made)
    elif there:
        aws("amp").update_logging_configuration(workspaceId=made, **_logging(wanted))
    else:
        aws("amp").create_logging_configuration(workspaceId=made, **_logging(wanted))


def _change_alias(aws: Aws, made: str, wanted: Props) -> None:
    aws("amp").update_workspace_alias(workspaceId=made, **given(wanted, alias="alias"))


_RETAG = retag(
    lambda aws, made: _workspace(aws, made).get("tags", {}),
    lambda aws, made, tags: aws("amp").tag_resource(resourceArn=_workspace(aws, made)["arn"], tags=mapping(tags)),
    lambda aws, made, names: aws("amp").untag_resource(resourceArn=_workspace(aws, made)["arn"], tagKeys=names),
)

KINDS = (
    Kind(
        type="aws:amp/workspace:Workspace",
        create=_create,
        read=_read,
        delete=lambda aws, made, _: aws("amp").delete_workspace(workspaceId=made),
        updates={"alias": _change_alias, "loggingConfiguration": _change_logging, "tags": _RETAG},
        fixed=frozenset({"kmsKeyArn"}),
        # moto: does not keep the key
        unread=frozenset({"kmsKeyArn"}),
        drifts={
            "alias": lambda value: f"{value}-drifted",
            "loggingConfiguration": lambda value: {
                "logGroupArn": value["logGroupArn"].replace("simplicity", "drifted")
            },
        },
    ),
)
