"""What moto lacks of AWS Backup: selections, and changes of a plan.

A plan with selections could be deleted, which AWS refuses, and the name of a deleted one could never be used again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.backup.exceptions import InvalidRequestException, ResourceNotFoundException
from moto.backup.models import BackupBackend, Plan
from moto.backup.responses import BackupResponse
from moto.core.utils import unix_time
from moto.moto_api._internal import mock_random

if TYPE_CHECKING:
    from collections.abc import Callable

Selections = dict[str, dict[str, Any]]


def _plan(self: BackupResponse) -> Plan:
    """Return the plan that a path names: `/backup/plans/ID/…`."""
    identity = self.path.split("/plans/")[-1].split("/")[0]
    return self.backup_backend.get_backup_plan(backup_plan_id=identity, version_id=None)


def _selections(backend: BackupBackend, plan: str) -> Selections:
    found: Selections = vars(backend).setdefault("simplicity_selections", {}).setdefault(plan, {})
    return found


def _selection(self: BackupResponse) -> tuple[Selections, str]:
    """Return a plan's selections, and which of them a path names: `/backup/plans/ID/selections/ID`."""
    there = _selections(self.backup_backend, _plan(self).backup_plan_id)
    identity = self.path.rstrip("/").rpartition("/")[2]
    if identity not in there:
        raise ResourceNotFoundException(msg="Cannot find Backup plan selection")
    return there, identity


def create_backup_selection(self: BackupResponse) -> str:
    """Say what a plan is for."""
    plan, identity = _plan(self).backup_plan_id, str(mock_random.uuid4())
    made = {"BackupPlanId": plan, "SelectionId": identity, "CreationDate": unix_time()}
    chosen = json.loads(self.body)["BackupSelection"]
    _selections(self.backup_backend, plan)[identity] = {**made, "BackupSelection": chosen}
    return json.dumps(made)


def get_backup_selection(self: BackupResponse) -> str:
    """Tell of one."""
    there, identity = _selection(self)
    return json.dumps(there[identity])


def list_backup_selections(self: BackupResponse) -> str:
    """Tell of all of a plan's."""
    told = [
        {
            **{name: value for name, value in each.items() if name != "BackupSelection"},
            **{name: each["BackupSelection"][name] for name in ("SelectionName", "IamRoleArn")},
        }
        for each in _selections(self.backup_backend, _plan(self).backup_plan_id).values()
    ]
    return json.dumps({"BackupSelectionsList": told})


def delete_backup_selection(self: BackupResponse) -> str:
    """Delete one."""
    there, identity = _selection(self)
    del there[identity]
    return "{}"


def update_backup_plan(self: BackupResponse) -> str:
    """Give a plan other rules, and so another version."""
    plan, wanted = _plan(self), json.loads(self.body)["BackupPlan"]
    fresh = Plan(backup_plan=wanted, creator_request_id=plan.creator_request_id, backend=self.backup_backend)
    plan.backup_plan, plan.version_id = fresh.backup_plan, fresh.version_id
    return json.dumps(plan.to_dict())


def _with_names_of_the_deleted(create: Callable[..., Plan]) -> Callable[..., Plan]:
    def created(self: BackupBackend, **what: Any) -> Plan:  # noqa: ANN401 - moto's own
        over = {identity: plan for identity, plan in self.plans.items() if plan.deletion_date is not None}
        for identity in over:
            del self.plans[identity]
        try:
            return create(self, **what)
        finally:
            self.plans |= over

    return created


def _unless_selected(delete: Callable[..., Any]) -> Callable[..., Any]:
    def deleted(self: BackupBackend, backup_plan_id: str) -> Any:  # noqa: ANN401 - as above
        if _selections(self, backup_plan_id):
            raise InvalidRequestException(
                msg="Related backup plan selections must be deleted prior to backup plan deletion"
            )
        return delete(self, backup_plan_id)

    return deleted


def extend() -> None:
    """Add the calls to moto's."""
    for call in (
        create_backup_selection,
        get_backup_selection,
        list_backup_selections,
        delete_backup_selection,
        update_backup_plan,
    ):
        setattr(BackupResponse, call.__name__, call)
    create, delete = BackupBackend.create_backup_plan, BackupBackend.delete_backup_plan
    setattr(BackupBackend, "create_backup_plan", _with_names_of_the_deleted(create))  # noqa: B010 - types do not know it
    setattr(BackupBackend, "delete_backup_plan", _unless_selected(delete))  # noqa: B010 - the same
