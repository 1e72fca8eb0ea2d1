"""Rules of buckets: as S3's calls have them, and as a program writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]  # botocore ships no types

from infra.cloud.rehearsal.kind import gone
from infra.cloud.rehearsal.kinds.shared import camel, mapping, pairs, pascal

if TYPE_CHECKING:
    from collections.abc import Callable

Rule = dict[str, Any]


def asked(call: Callable[..., Any], **arguments: Any) -> Any:  # noqa: ANN401 - an answer
    """Return the answer of a call; None where AWS says that there is no such thing."""
    try:
        return call(**arguments)
    except ClientError as error:
        if gone(error):
            return None
        raise


def encryption_asked(rule: Rule) -> Rule:
    """Return a rule of encryption as a call has it."""
    default = rule["applyServerSideEncryptionByDefault"]
    key = {"KMSMasterKeyID": default["kmsMasterKeyId"]} if default.get("kmsMasterKeyId") else {}
    return {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": default["sseAlgorithm"], **key},
        "BucketKeyEnabled": bool(rule.get("bucketKeyEnabled")),
    }


def encryption_told(rule: Rule) -> Rule:
    """Return a rule of encryption as a program has it."""
    default = rule["ApplyServerSideEncryptionByDefault"]
    key = {"kmsMasterKeyId": default["KMSMasterKeyID"]} if default.get("KMSMasterKeyID") else {}
    return {
        "applyServerSideEncryptionByDefault": {"sseAlgorithm": default["SSEAlgorithm"], **key},
        "bucketKeyEnabled": bool(rule.get("BucketKeyEnabled")),
    }


def lifecycle_asked(rule: Rule) -> Rule:
    """Return a rule of a lifecycle as a call has it."""
    made: Rule = pascal({name: value for name, value in rule.items() if name not in {"id", "filter"}})
    return {"ID": rule["id"], "Filter": _filter_asked(rule.get("filter") or {"prefix": ""}), **made}


def lifecycle_told(rule: Rule) -> Rule:
    """Return a rule of a lifecycle as a program has it."""
    made: Rule = camel({name: value for name, value in rule.items() if name not in {"ID", "Filter", "Prefix"}})
    return {"id": rule["ID"], "filter": _filter_told(rule.get("Filter") or {"Prefix": ""}), **made}


def _filter_asked(chosen: Rule) -> Rule:
    if both := chosen.get("and"):
        return {"And": {**pascal({**both, "tags": None}), "Tags": pairs(both.get("tags"))}}
    made: Rule = pascal(chosen)
    return made


def _filter_told(chosen: Rule) -> Rule:
    if both := chosen.get("And"):
        return {"and": {**camel({**both, "Tags": None}), "tags": mapping(both.get("Tags"))}}
    made: Rule = camel(chosen)
    return made


def replication_asked(rule: Rule) -> Rule:
    """Return a rule of replication as a call has it."""
    made: Rule = pascal({name: value for name, value in rule.items() if name not in {"id", "filter", "destination"}})
    destination: Rule = pascal(rule["destination"])
    if encryption := rule["destination"].get("encryptionConfiguration"):
        destination["EncryptionConfiguration"] = {"ReplicaKmsKeyID": encryption["replicaKmsKeyId"]}
    return {
        **made,
        "ID": rule["id"],
        "Filter": _filter_asked(rule.get("filter") or {"prefix": ""}),
        "Destination": destination,
    }


def replication_told(rule: Rule) -> Rule:
    """Return a rule of replication as a program has it."""
    made: Rule = camel({name: value for name, value in rule.items() if name not in {"ID", "Filter", "Destination"}})
    destination: Rule = camel(rule["Destination"])
    if encryption := rule["Destination"].get("EncryptionConfiguration"):
        destination["encryptionConfiguration"] = {"replicaKmsKeyId": encryption["ReplicaKmsKeyID"]}
        # moto does not tell what AWS refuses to do without where the copy has a key.
        made.setdefault("sourceSelectionCriteria", {"sseKmsEncryptedObjects": {"status": "Enabled"}})
    return {
        **made,
        "id": rule["ID"],
        "filter": _filter_told(rule.get("Filter") or {"Prefix": ""}),
        "destination": destination,
    }


# --- other values, for drills ----------------------------------------------------------------------------------------
def longer(rules: list[Rule]) -> list[Rule]:
    """Keep what expires for a day longer."""
    first = next(each for each in rules if "days" in (each.get("expiration") or {}))
    later = {**first, "expiration": {**first["expiration"], "days": first["expiration"]["days"] + 1}}
    return [later if each is first else each for each in rules]


def opened(policy: str) -> str:
    """Let everybody read."""
    document = json.loads(policy)
    everybody = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": ["s3:GetObject"]}
    document["Statement"].append({**everybody, "Resource": document["Statement"][0]["Resource"]})
    return json.dumps(document)


def relocked(rule: Rule) -> Rule:
    """Lock for a day longer."""
    retention = rule["defaultRetention"]
    return {"defaultRetention": {**retention, "days": retention["days"] + 1}}


def rekeyed(rules: list[Rule]) -> list[Rule]:
    """Ask the key for each object, or no longer."""
    return [{**each, "bucketKeyEnabled": not each["bucketKeyEnabled"]} for each in rules]


def stopped(rules: list[Rule]) -> list[Rule]:
    """Copy nothing any more."""
    return [{**each, "status": "Disabled"} for each in rules]
