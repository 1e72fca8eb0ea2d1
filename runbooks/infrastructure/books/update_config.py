"""Other settings for the service and the database, host by host; the old ones where a host does not bear them."""

from __future__ import annotations

from runbooks.engine.model import Look, Parameter, Runbook, Step
from runbooks.infrastructure import updating

RUNBOOK = Runbook(
    name="update-config",
    title="Change settings of the service and parameters of the database",
    meaning="A limit, a cache, a pool or a parameter of PostgreSQL has to be another one.",
    impact="None for clients: each host is sent nothing while its processes are started anew. A parameter that needs a "
    "restart of PostgreSQL moves the database to another host: for seconds nothing is written.",
    diagnosis=(
        Look(
            title="What is set otherwise than it comes",
            see=updating.see,
            by_hand="`overrides.yaml` beside the document",
        ),
    ),
    steps=(
        Step(
            name="check",
            title="Let the service's types and PostgreSQL read the values",
            asserts="each setting may be changed, and takes its value",
            act=updating.check,
            check=updating.is_checked,
            within=60.0,
            by_hand="`simplicity config check --offline`; `postgres -C NAME -c NAME=VALUE` on a database host",
            reads_only=True,
        ),
        Step(
            name="compare",
            title="Show what the playbook would change on the hosts",
            asserts="the difference is shown, and nothing is changed",
            act=updating.compare,
            check=updating.is_compared,
            within=300.0,
            by_hand="`ansible-playbook indexer.yaml --check --diff`",
            reads_only=True,
        ),
        Step(
            name="write",
            title="Write the settings where playbooks read them",
            asserts="the file has them",
            act=updating.write,
            check=updating.is_written,
            within=20.0,
            by_hand="edit `overrides.yaml` beside the document",
            undo=updating.write_back,
            undo_title="Write the former ones",
        ),
        Step(
            name="service",
            title="Start the service anew with them, one host after the other, each one out of the traffic meanwhile",
            asserts="each host serves by processes that have them",
            act=updating.service,
            check=updating.serves,
            within=1800.0,
            by_hand="`ansible-playbook indexer.yaml --limit HOST`, host by host",
            undo=updating.roll_back,
            undo_title="Start the service anew with the former ones, host by host",
        ),
        Step(
            name="database",
            title="Share the parameters, and restart servers that need it: replicas first, the leader as one of them",
            asserts="they are in force on all servers",
            act=updating.database,
            check=updating.in_force,
            within=600.0,
            by_hand="`patronictl edit-config`, `patronictl restart` on a database host",
            undo=updating.share_back,
            undo_title="Share the former ones, and restart what needs it",
        ),
    ),
    verify=(
        Look(
            title="Each host serves with them",
            see=updating.serves,
            by_hand="`simplicity infrastructure status`",
            within=60.0,
        ),
    ),
    undo="Set the former values, which the journal and the audit trail have, or take them back: --unset NAME.",
    parameters=(
        Parameter(
            name="changes",
            help="Names and values as a JSON object; null takes back what was set.",
            parse=updating.given,
            example='{"API_CACHE_TTL": 300, "work_mem": "8MB"}',
        ),
    ),
    on_failure="undo",
)
