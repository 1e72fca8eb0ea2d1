"""What goes wrong between here and AWS is one line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore import exceptions  # type: ignore[import-untyped]  # botocore ships no types
from botocore.awsrequest import AWSResponse  # type: ignore[import-untyped]  # as above

from infra.environment import Driver
from runbooks.drivers import aws, aws_operating
from runbooks.drivers.aws import Aws, AwsError, BusyError, CredentialsError, GoneError, ThereError, explained
from runbooks.drivers.aws_scaler import AutoscalingScaler
from runbooks.drivers.aws_switch import TargetGroupSwitch
from runbooks.drivers.operations import OperationStore, wait
from runbooks.drivers.protocols import Phase, Refusal
from runbooks.drivers.select import Drivers
from tests.runbooks.drivers.cloud import REGION

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runbooks.drivers.cloud import Cloud

ANSWER = """<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"""


class Body:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def stream(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - as urllib3's
        yield self.data


def _answering(where: Aws, service: str, code: str, message: str, times: int = 1_000) -> list[str]:
    """Let a client's next requests be answered by an error of AWS's; return what was asked."""
    asked: list[str] = []

    def answer(request: Any, event_name: str, **_: object) -> Any:  # noqa: ANN401 - botocore's
        if len(asked) >= times:
            return None
        asked.append(event_name.rpartition(".")[2])
        status = 403 if "Denied" in code else 400
        return AWSResponse(request.url, status, {}, Body(ANSWER.format(code, message).encode()))

    aws._client(where.region, where.endpoint, service).meta.events.register("before-send.*.*", answer)  # noqa: SLF001
    return asked


@pytest.fixture
def api(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(aws, "ATTEMPTS", 2)
    cloud.make_api(desired={"blue": 1, "green": 1})
    return cloud


def test_a_call_that_is_throttled_once_is_made_again(api: Cloud, store: OperationStore) -> None:
    asked = _answering(Aws.of(api.document), "elbv2", "Throttling", "Rate exceeded", times=1)
    assert TargetGroupSwitch(api.document, store).weights() == {"blue": 100, "green": 0}
    assert asked == ["DescribeLoadBalancers"]


def test_an_operation_that_is_throttled_waits_and_is_not_lost(api: Cloud, store: OperationStore) -> None:
    scaler = AutoscalingScaler(api.document, store)
    scaler.store.begin("k", driver="autoscaling", action="scale", target="api-blue", arguments={"size": 2})
    _answering(scaler.aws, "autoscaling", "Throttling", "Rate exceeded", times=2)
    busy = scaler.poll("k")
    assert busy.phase is Phase.RUNNING
    assert busy.detail.startswith("autoscaling describe-auto-scaling-groups: AWS is asked too often or is busy")
    assert wait(scaler, "k", 20).phase is Phase.DONE


def test_a_permission_that_is_missing_ends_the_operation_in_one_line(api: Cloud, store: OperationStore) -> None:
    scaler = AutoscalingScaler(api.document, store)
    words = "User: arn:aws:iam::123456789012:user/x is not authorized\n to perform: autoscaling:Describe…"
    _answering(scaler.aws, "autoscaling", "AccessDenied", words)
    with pytest.raises(AwsError, match="autoscaling describe-auto-scaling-groups: these credentials may not") as caught:
        scaler.size("api")
    assert "\n" not in str(caught.value)
    store.begin("k", driver="autoscaling", action="scale", target="api-blue", arguments={"size": 2})
    done = scaler.poll("k")
    assert (done.phase, "may not do that" in done.detail) == (Phase.FAILED, True)


def test_credentials_that_are_over_delay_an_operation_until_somebody_has_logged_in_again(
    api: Cloud, store: OperationStore
) -> None:
    scaler = AutoscalingScaler(api.document, store)
    store.begin("k", driver="autoscaling", action="scale", target="api-blue", arguments={"size": 2})
    _answering(scaler.aws, "autoscaling", "ExpiredToken", "The security token included in the request is expired")
    waiting = scaler.poll("k")
    assert (waiting.phase, "log in again" in waiting.detail) == (Phase.RUNNING, True)
    assert wait(scaler, "k", 20).phase is Phase.DONE


@pytest.mark.parametrize("code", ["ExpiredToken", "InvalidClientTokenId"])
def test_credentials_that_are_over_say_to_log_in_again(api: Cloud, store: OperationStore, code: str) -> None:
    _answering(Aws.of(api.document), "elbv2", code, "The security token included in the request is expired")
    with pytest.raises(CredentialsError, match="log in again"):
        TargetGroupSwitch(api.document, store).weights()


def test_without_credentials_one_line_says_where_they_come_from(
    api: Cloud, store: OperationStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none-either"))
    aws.forget()
    with pytest.raises(CredentialsError, match="there are no credentials of AWS here; set AWS_PROFILE, log in, or run"):
        TargetGroupSwitch(api.document, store).weights()
    monkeypatch.setenv("AWS_PROFILE", "nobody-s")
    aws.forget()
    with pytest.raises(CredentialsError, match=r"credentials of AWS cannot be had: .*nobody-s.*log in again"):
        TargetGroupSwitch(api.document, store).weights()


def test_an_aws_that_does_not_answer_is_no_reason_to_give_up(api: Cloud, store: OperationStore) -> None:
    api.endpoint = "http://127.0.0.1:9"
    with pytest.raises(BusyError, match="AWS does not answer"):
        TargetGroupSwitch(api.document, store).weights()


def test_credentials_of_another_account_change_and_show_nothing(api: Cloud, store: OperationStore) -> None:
    settings = {"region": REGION, "endpoint": api.endpoint, "account": "999999999999"}
    api.drivers["aws"] = Driver(kind="aws", settings=settings)
    document = api.document.model_copy(update={"drivers": api.drivers})
    switch = TargetGroupSwitch(document, store)
    with pytest.raises(CredentialsError, match=r"of the account 123456789012, .* is in 999999999999"):
        switch.shift("k", {"blue": 0, "green": 100})
    store.begin("k", driver="target-groups", action="shift", target="api", arguments={"blue": 0, "green": 100})
    assert switch.poll("k").phase is Phase.RUNNING
    api.drivers["aws"] = Driver(kind="aws", settings=settings | {"account": "123456789012"})
    document = api.document.model_copy(update={"drivers": api.drivers})
    assert TargetGroupSwitch(document, store).weights() == {"blue": 100, "green": 0}


def test_with_another_account_s_credentials_no_call_is_made_not_even_for_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def client(*_: object) -> object:
        pytest.fail("AWS was asked")

    monkeypatch.setattr(aws, "_account", lambda *_: "1")
    monkeypatch.setattr(aws, "_client", client)
    where = Aws(environment="production", region=REGION, account="2")
    with pytest.raises(CredentialsError, match="of the account 1, production is in 2; set AWS_PROFILE"):
        where.call("secretsmanager", "get_secret_value", SecretId="s")
    with pytest.raises(CredentialsError, match="of the account 1"):
        where.all("ec2", "describe_instances", "Reservations")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", CredentialsError),
        ("AuthFailure", CredentialsError),
        ("AccessDenied", AwsError),
        ("UnauthorizedOperation", AwsError),
        ("Throttling", BusyError),
        ("DBClusterNotFoundFault", GoneError),
        ("DBClusterSnapshotAlreadyExistsFault", ThereError),
        ("DBInstanceAlreadyExists", ThereError),
    ],
)
def test_what_aws_calls_a_failure_says_what_kind_it_is(code: str, kind: type[AwsError]) -> None:
    error = exceptions.ClientError({"Error": {"Code": code, "Message": "words"}}, "Operation")
    found = explained(error, "a call")
    assert (type(found), found.code) == (kind, code)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.UnauthorizedSSOTokenError(),
        exceptions.TokenRetrievalError(provider="sso", error_msg="expired"),
        exceptions.MetadataRetrievalError(error_msg="no answer"),
    ],
)
def test_a_login_that_is_over_says_to_log_in_again(error: Exception) -> None:
    found = explained(error, "a call")
    assert (type(found), "log in again" in str(found)) == (CredentialsError, True)


def test_a_document_without_a_region_is_refused(cloud: Cloud, store: OperationStore) -> None:
    document = cloud.document.model_copy(update={"drivers": {"traffic_switch": Driver(kind="target-groups")}})
    with pytest.raises(Refusal, match="names no region of AWS; write it anew"):
        Drivers.for_environment(document, store.directory).traffic_switch.weights()


def test_aws_is_left_alone_between_two_looks(store: OperationStore) -> None:
    looks: list[str] = []

    def look(_: object) -> aws_operating.Seen:
        looks.append("look")
        return aws_operating.Seen("waits")

    store.begin("k", driver="d", action="a", target="t")
    way = aws_operating.Way(look=look, patience=60, hint="")
    for _ in range(5):
        aws_operating.go_on(store, "d", "k", way, pause=60.0)
    assert len(looks) == 1


def test_a_cloud_s_document_gives_the_cloud_s_drivers(cloud: Cloud, store: OperationStore) -> None:
    for name, kind in (
        ("scaler", "autoscaling"),
        ("traffic_switch", "target-groups"),
        ("failover", "aurora"),
        ("backup", "aurora"),
        ("secrets", "secretsmanager"),
    ):
        cloud.drivers[name] = Driver(kind=kind)
    found = Drivers.for_environment(cloud.document, store.directory)
    made = [found.scaler, found.traffic_switch, found.failover, found.backup_engine, found.secret_store]
    assert [type(each).__name__ for each in made] == [
        "AutoscalingScaler",
        "TargetGroupSwitch",
        "ManagedFailover",
        "SnapshotEngine",
        "SecretsManagerStore",
    ]
