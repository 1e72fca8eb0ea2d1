"""Sessions with AWS for the drivers of the cloud: where it is asked, and one line for each way in which a call fails.

Credentials are found as AWS's own tools find them (a profile, a host's role); no document has any.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3  # type: ignore[import-untyped]  # boto3 ships no types
from botocore import exceptions  # type: ignore[import-untyped]  # as above
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]  # as above

from runbooks.drivers.protocols import Refusal

if TYPE_CHECKING:
    from infra.environment import Environment

DRIVER = "aws"
ATTEMPTS = 4
LONGEST = 240
_DENIED = re.compile(r"AccessDenied|Unauthorized|NotAuthorized|OptInRequired")
_STALE = re.compile(
    r"ExpiredToken|RequestExpired|InvalidClientTokenId|UnrecognizedClient|InvalidSignature|SignatureDoes|AuthFailure"
)
_BUSY = re.compile(
    r"Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|ServiceUnavailable|InternalFailure|Internal.*Err"
)
_GONE = re.compile(r"NotFound|NoSuch|DoesNotExist|\.Unknown$")
_THERE = re.compile(r"AlreadyExists")
_NONE = (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)
_NOT_HAD = (
    exceptions.ProfileNotFound,
    exceptions.CredentialRetrievalError,
    exceptions.MetadataRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.TokenRetrievalError,
    exceptions.LoginError,
    exceptions.SSOError,
)
_FAILURES = (exceptions.BotoCoreError, exceptions.ClientError, ResponseParserError)
_MAKING = threading.Lock()


class AwsError(Refusal):
    """AWS does not do what was asked: one line that says what and why. `code` is AWS's own word for it, or ""."""

    code = ""


class BusyError(AwsError):
    """It passes by itself: AWS is asked too often, or does not answer at this moment."""


class CredentialsError(AwsError):
    """Nothing can be asked with the credentials that there are: it passes when somebody has logged in again."""


class GoneError(AwsError):
    """What was asked for is not there."""


class ThereError(AwsError):
    """What was to be made is there already: by somebody else, or by a call whose answer was lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """One environment's region. `endpoint` is an emulator's; where `account` is given no other one is asked."""

    environment: str
    region: str
    endpoint: str | None = None
    account: str | None = None

    @classmethod
    def of(cls, environment: Environment) -> Aws:
        """Return the session of an environment's document. Raises Refusal where it names no region."""
        driver = environment.drivers.get(DRIVER)
        if driver is None or not driver.settings.get("region"):
            raise Refusal(f"the document of {environment.name} names no region of AWS; write it anew")
        settings = driver.settings
        return cls(
            environment=environment.name,
            region=settings["region"],
            endpoint=settings.get("endpoint") or None,
            account=settings.get("account") or None,
        )

    @property
    def pause(self) -> float:
        """Return how many seconds AWS is left alone between two looks at an operation; an emulator needs no rest."""
        return 0.0 if self.endpoint else 3.0

    def name(self, part: str) -> str:
        """Return the name that the cloud program gives a resource: `simplicity-production-api`."""
        return f"simplicity-{self.environment}-{part}"

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:  # noqa: ANN401 - as AWS has them
        """Make one call. Raises AwsError; of its kinds BusyError for what passes, GoneError for what is not there."""
        try:
            self._check_account()
            found: dict[str, Any] = getattr(_client(self.region, self.endpoint, service), operation)(**arguments)
        except _FAILURES as error:
            raise explained(error, f"{service} {operation.replace('_', '-')}") from None
        return found

    def all(self, service: str, operation: str, part: str, **arguments: Any) -> list[Any]:  # noqa: ANN401 - as above
        """Return what all pages of an answer have under `part`. Raises as call() does."""
        try:
            self._check_account()
            pages = _client(self.region, self.endpoint, service).get_paginator(operation).paginate(**arguments)
            return [each for page in pages for each in page.get(part) or ()]
        except _FAILURES as error:
            raise explained(error, f"{service} {operation.replace('_', '-')}") from None

    def _check_account(self) -> None:
        # Whoever has the profile of another account set would change an environment of the same name there, or be
        # shown its state and its secrets as this one's.
        if self.account is None:
            return
        found = _account(self.region, self.endpoint)
        if found != self.account:
            raise CredentialsError(
                f"these credentials are of the account {found}, {self.environment} is in {self.account};"
                " set AWS_PROFILE, or log in again"
            )


@cache
def _account(region: str, endpoint: str | None) -> str:
    return str(_client(region, endpoint, "sts").get_caller_identity()["Account"])


def _client(region: str, endpoint: str | None, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients' types when it runs
    with _MAKING:  # boto3's sessions are not for several threads, its clients are
        return _made(region, endpoint, service)


@cache
def _made(region: str, endpoint: str | None, service: str) -> Any:  # noqa: ANN401 - as above
    local: dict[str, Any] = {"proxies": {}} if endpoint else {}
    config = Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=5,
        read_timeout=20,
        ignore_configured_endpoint_urls=True,
        max_pool_connections=32,
        **local,
    )
    return boto3.Session(region_name=region).client(service, endpoint_url=endpoint, config=config)


def forget() -> None:
    """Forget all clients: credentials or an emulator are others by now."""
    _made.cache_clear()
    _account.cache_clear()


def explained(error: Exception, what: str) -> AwsError:
    """Return as one line what a call, `what`, ended with. Arguments are not shown: one may be a secret."""
    if isinstance(error, exceptions.ClientError):
        return _of_code(str(error.response.get("Error", {}).get("Code", "")), _line(error), what)
    if isinstance(error, _NONE):
        return CredentialsError(
            "there are no credentials of AWS here; set AWS_PROFILE, log in, or run it on a host that has a role"
        )
    if isinstance(error, _NOT_HAD):
        return CredentialsError(
            f"credentials of AWS cannot be had: {_short(str(error))}; log in again (`aws sso login`)"
        )
    if isinstance(error, exceptions.ParamValidationError):
        return AwsError(f"{what}: an argument is not of the form that AWS takes")
    if isinstance(error, (exceptions.HTTPClientError, exceptions.ConnectionError, ResponseParserError)):
        return BusyError(f"{what}: AWS does not answer ({type(error).__name__}); try it again")
    return AwsError(f"{what}: {_short(str(error))}")


def _of_code(code: str, words: str, what: str) -> AwsError:
    if _DENIED.search(code):
        found: AwsError = AwsError(f"{what}: these credentials may not do that: {words}")
    elif _STALE.search(code):
        found = CredentialsError(f"{what}: these credentials are not valid (any more): log in again (`aws sso login`)")
    elif _BUSY.search(code):
        found = BusyError(f"{what}: AWS is asked too often or is busy ({code}); try it again in a minute")
    elif _GONE.search(code):
        found = GoneError(f"{what}: {words}")
    elif _THERE.search(code):
        found = ThereError(f"{what}: {words}")
    else:
        found = AwsError(f"{what}: {code}: {words}")
    found.code = code
    return found


def _line(error: exceptions.ClientError) -> str:
    return _short(str(error.response.get("Error", {}).get("Message", "")) or str(error))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
