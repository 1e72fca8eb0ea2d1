"""What RDS and ElastiCache have in common: a thing of theirs is tagged by its ARN, which is made of its id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra.cloud.rehearsal.kinds.shared import mapping, retag

if TYPE_CHECKING:
    from infra.cloud.rehearsal.kind import Aws, Change


def arn(aws: Aws, service: str, kind: str, made: str) -> str:
    """Return the ARN of a thing of a service (`rds`) by its kind there (`subgrp`) and its id."""
    account = aws("sts").get_caller_identity()["Account"]
    return f"arn:aws:{service}:{aws(service).meta.region_name}:{account}:{kind}:{made}"


def tags_of(aws: Aws, service: str, name: str) -> dict[str, str]:
    """Return the tags of what an ARN names."""
    return mapping(aws(service).list_tags_for_resource(ResourceName=name)["TagList"])


def retag_by_arn(service: str, kind: str) -> Change:
    """Return how a thing of a service's is tagged anew."""

    def add(aws: Aws, made: str, tags: list[dict[str, str]]) -> None:
        aws(service).add_tags_to_resource(ResourceName=arn(aws, service, kind, made), Tags=tags)

    def remove(aws: Aws, made: str, names: list[str]) -> None:
        aws(service).remove_tags_from_resource(ResourceName=arn(aws, service, kind, made), TagKeys=names)

    return retag(lambda aws, made: tags_of(aws, service, arn(aws, service, kind, made)), add, remove)
