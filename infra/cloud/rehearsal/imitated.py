"""What moto has nothing of at all, and the rehearsal needs: Amazon Managed Grafana, in the emulator's own process.

And two things that moto has by halves: clients of an OpenID Connect provider, and metric filters.

Each call's form is checked by botocore, as everywhere; what is kept and told is what these few lines make of it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from moto.core.responses import ActionResult, EmptyResult
from moto.iam.responses import IamResponse
from moto.logs.metric_filters import MetricFilters
from werkzeug import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

SERVICE, VERSION = "grafana", "10.4"
_SIGNED_FOR = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")
# A workspace's properties, as they are told: by the names that the calls have for them.
_TOLD = {
    "workspaceDataSources": "dataSources",
    "workspaceDescription": "description",
    "workspaceName": "name",
    "workspaceNotificationDestinations": "notificationDestinations",
    "workspaceRoleArn": "workspaceRoleArn",
    "accountAccessType": "accountAccessType",
    "permissionType": "permissionType",
    "networkAccessControl": "networkAccessControl",
    "grafanaVersion": "grafanaVersion",
    "kmsKeyId": "kmsKeyId",
    "tags": "tags",
}


class _NotThereError(Exception):
    """There is no such workspace."""


@dataclass
class _Workspace:
    told: dict[str, Any]
    providers: list[str]
    configuration: str
    saml: dict[str, Any] | None = None
    permissions: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Grafana:
    """The workspaces of all regions, by region and id; called as WSGI calls an application."""

    workspaces: dict[tuple[str, str], _Workspace] = field(default_factory=dict)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        request = Request(environ)
        try:
            answer = Response(json.dumps(self._answer(request)), mimetype="application/json")
        except _NotThereError:
            answer = Response('{"message": "no such workspace"}', status=404, mimetype="application/json")
            answer.headers["x-amzn-errortype"] = "ResourceNotFoundException"
        return answer(environ, start_response)

    def _answer(self, request: Request) -> dict[str, Any]:
        region, body = str(signed_for(request.environ)[1]), request.get_json(silent=True) or {}
        _, first, *rest = request.path.split("/")
        if first == "tags":
            return self._tags(request, region, unquote("/".join(rest)), body)
        if not rest:
            return {"workspace": self._create(region, body)}
        made = self._at(region, rest[0])
        match request.method, rest[1:]:
            case "GET", []:
                return {"workspace": made.told}
            case "PUT", []:
                made.told.update({_TOLD[name]: value for name, value in body.items() if name in _TOLD})
                return {"workspace": made.told}
            case "DELETE", []:
                del self.workspaces[region, rest[0]]
                return {"workspace": {**made.told, "status": "DELETING"}}
            case method, [part]:
                return _PARTS[part](made, method, body)
        raise _NotThereError

    def _at(self, region: str, made: str) -> _Workspace:
        if (region, made) not in self.workspaces:
            raise _NotThereError
        return self.workspaces[region, made]

    def _create(self, region: str, body: dict[str, Any]) -> dict[str, Any]:
        made = f"g-{len(self.workspaces) + 1:010x}"
        told = {
            "id": made,
            "created": time.time(),
            "modified": time.time(),
            "status": "ACTIVE",
            "endpoint": f"{made}.grafana-workspace.{region}.amazonaws.com",
            "authentication": {"providers": body["authenticationProviders"]},
            "grafanaVersion": VERSION,
            "dataSources": [],
            **{_TOLD[name]: value for name, value in body.items() if name in _TOLD},
        }
        self.workspaces[region, made] = _Workspace(
            told, body["authenticationProviders"], body.get("configuration") or "{}"
        )
        return told

    def _tags(self, request: Request, region: str, arn: str, body: dict[str, Any]) -> dict[str, Any]:
        tags = self._at(region, arn.rpartition("/")[2]).told.setdefault("tags", {})
        if request.method == "POST":
            tags.update(body["tags"])
        for name in request.args.getlist("tagKeys") if request.method == "DELETE" else ():
            tags.pop(name, None)
        return {"tags": tags}


def _authentication(made: _Workspace, method: str, body: dict[str, Any]) -> dict[str, Any]:
    if method == "POST":
        made.providers = made.told["authentication"]["providers"] = body["authenticationProviders"]
        made.saml = body.get("samlConfiguration") or made.saml
    saml = {"status": "CONFIGURED", "configuration": made.saml} if made.saml else {"status": "NOT_CONFIGURED"}
    return {"authentication": {"providers": made.providers, "saml": saml}}


def _configuration(made: _Workspace, method: str, body: dict[str, Any]) -> dict[str, Any]:
    if method == "PUT":
        made.configuration = body["configuration"]
    return {"configuration": made.configuration, "grafanaVersion": made.told["grafanaVersion"]}


def _permissions(made: _Workspace, _: str, body: dict[str, Any]) -> dict[str, Any]:
    for each in body.get("updateInstructionBatch", ()):
        for user in each["users"]:
            entry = {"user": user, "role": each["role"]}
            if each["action"] == "REVOKE":
                made.permissions = [other for other in made.permissions if other != entry]
            elif entry not in made.permissions:
                made.permissions.append(entry)
    return {"permissions": made.permissions, "errors": []}


_PARTS: dict[str, Callable[[_Workspace, str, dict[str, Any]], dict[str, Any]]] = {
    "authentication": _authentication,
    "configuration": _configuration,
    "permissions": _permissions,
}


def signed_for(environ: WSGIEnvironment) -> tuple[str | None, str | None]:
    """Return the service and the region that a request is signed for; None of one that is not."""
    found = _SIGNED_FOR.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    return (found["service"], found["region"]) if found else (None, None)


def beside(emulator: WSGIApplication) -> WSGIApplication:
    """Return an application that answers for Grafana itself, and leaves all else to the emulator."""
    grafana = Grafana()

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return (grafana if signed_for(environ)[0] == SERVICE else emulator)(environ, start_response)

    return application


def _believed(self: IamResponse) -> list[str]:
    """Return for whom a provider's tokens are, as it is kept."""
    provider = self.backend.get_open_id_connect_provider(self._get_param("OpenIDConnectProviderArn"))
    clients: list[str] = provider.client_id_list
    return clients


def add_client_id_to_open_id_connect_provider(self: IamResponse) -> ActionResult:
    """Take tokens for one more."""
    clients, name = _believed(self), self._get_param("ClientID")
    if name not in clients:
        clients.append(name)
    return EmptyResult()


def remove_client_id_from_open_id_connect_provider(self: IamResponse) -> ActionResult:
    """Take no tokens for one any more."""
    clients, name = _believed(self), self._get_param("ClientID")
    if name in clients:
        clients.remove(name)
    return EmptyResult()


def extend() -> None:
    """Let a provider's clients change; let a filter of a log take its own place: moto kept both, and told the first."""
    for call in (add_client_id_to_open_id_connect_provider, remove_client_id_from_open_id_connect_provider):
        setattr(IamResponse, call.__name__, call)
    add = MetricFilters.add_filter

    def put(self: MetricFilters, filter_name: str, pattern: str, group: str, transformations: str) -> None:
        self.delete_filter(filter_name, group)
        add(self, filter_name, pattern, group, transformations)

    setattr(MetricFilters, "add_filter", put)  # noqa: B010 - types do not know it
