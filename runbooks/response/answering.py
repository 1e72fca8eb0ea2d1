"""How an answer is put together: it begins with its alerts, and ends only when none of them holds any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbooks.engine.model import Runbook
from runbooks.response.answers import ALERTS
from runbooks.response.looks import alert_parameter, alerts_look, over_look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbooks.engine.model import Look, Parameter, Step

# Said once on each page whose ways by hand need it.
PSQL = """`psql` below is opened as one of the environment's roles, the writer where nothing else is said:

```console
PGPASSWORD="$(cat FILE)" psql -h HOST -p PORT -U ROLE DATABASE
```

HOST, PORT, DATABASE and the roles are `endpoints.database` of the environment's document; FILE is what its `secrets`
name: `database_writer_password` for `writer_role`, `database_reader_password` for `reader_role`,
`database_backup_password` for the role of the backups. Locally the document is `environment.json` in
`${SIMPLICITY_HOME:-.simplicity}/local` of the checkout; the superuser is `postgres`, its FILE is
`secrets/superuser_password` there, and where psql lies is said by
`.venv/bin/python -c "from infra.local.components.postgresql import binary; print(binary('psql'))"`."""
ENV_FILE = """`--env-file FILE` below is the file of the indexer's settings, locally
`${SIMPLICITY_HOME:-.simplicity}/local/indexer.env` of the checkout."""


def answer(  # noqa: PLR0913 - a runbook's parts are its arguments
    name: str,
    *,
    title: str,
    meaning: str,
    impact: str,
    diagnosis: Sequence[Look],
    steps: Sequence[Step],
    undo: str,
    verify: Sequence[Look] = (),
    parameters: Sequence[Parameter] = (),
    target: str = "",
    before: str = "",
) -> Runbook:
    """Return the runbook that answers the alerts of this name.

    `target`: what it has for itself with others; by default two runs of this answer only are kept apart, so that one
    which was left unfinished never keeps on-call from another answer. `before` leads the page, and how psql is opened
    comes after it where a way by hand needs that.
    """
    alerts = (alert_parameter(name),) if len(ALERTS[name]) > 1 else ()
    return Runbook(
        name=name,
        title=title,
        meaning=meaning,
        impact=impact,
        diagnosis=(alerts_look(name), *diagnosis),
        steps=tuple(steps),
        verify=(*verify, over_look(name)),
        undo=undo,
        parameters=(*alerts, *parameters),
        target=lambda _: target or name,
        before="\n\n".join(_before(before, (*diagnosis, *steps, *verify))),
    )


def _before(text: str, parts: Sequence[Look | Step]) -> Iterator[str]:
    by_hand = " ".join(each.by_hand for each in parts)
    if text:
        yield text
    if "psql" in by_hand:
        yield PSQL
    if "--env-file FILE" in by_hand:
        yield ENV_FILE
