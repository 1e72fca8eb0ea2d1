"""Steps about the database's sessions and tables, which several answers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbooks.engine.arguments import duration, matching, one_of
from runbooks.engine.model import Halt, Parameter, Step, Unmet
from runbooks.response.acts import NONE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbooks.engine.model import Context, Json
    from runbooks.response.database import Session, Table

IDLE, BLOCKING, NEEDED = "idle", "blocking", "needed"
VACUUM_SECONDS = 3_600.0


def end_parameter(default: str) -> Parameter:
    """Return the argument that says which sessions are ended."""
    return Parameter(
        name="end",
        help="Which sessions are ended: idle in a transaction; blocking others; one, by its number; or none.",
        parse=matching(
            rf"{IDLE}|{BLOCKING}|{NONE}|[1-9][0-9]{{0,9}}", f"{IDLE}, {BLOCKING}, {NONE} or a session's pid"
        ),
        example="4711",
        default=default,
    )


def older_parameter(default: str) -> Parameter:
    """Return the argument that spares sessions which are at it only for a moment."""
    return Parameter(
        name="older-than",
        help="Sessions that idle, or block others, for less time are left alone.",
        parse=duration(1, 86_400),
        example="5m",
        default=default,
    )


VACUUM = Parameter(
    name="vacuum",
    help="needed: tables with many dead or old rows are vacuumed; none: nothing is.",
    parse=one_of(NEEDED, NONE),
    example=NONE,
    default=NEEDED,
)


def chosen(sessions: Sequence[Session], asked: str, older_than: float) -> list[Session]:
    """Return the sessions that are to be ended.

    Of those that block others the ones that nobody blocks: the others go on when these are gone.
    """
    if asked == NONE:
        return []
    if asked == IDLE:
        return [each for each in sessions if each.idles_in_transaction and each.in_state >= older_than]
    if asked == BLOCKING:
        blocking = {pid for each in sessions for pid in each.blocked_by}
        return [
            each
            for each in sessions
            if each.pid in blocking and not each.blocked_by and each.in_transaction >= older_than
        ]
    return [each for each in sessions if each.pid == int(asked)]


def see_sessions(context: Context) -> str:
    """Say what the sessions are at that are in a transaction, and who waits for whom."""
    from runbooks.response.database import sessions  # noqa: PLC0415 - a page is shown without the database's client

    found = sessions(context.environment)
    busy = [each for each in found if each.state not in {"", "idle"}]
    lines = (f"\n  {_sentence(each)}" for each in busy[:20])
    return f"{len(found)} sessions, {len(busy)} of them at work or in a transaction{''.join(lines)}"


def _sentence(session: Session) -> str:
    waits = f", waits for {', '.join(map(str, session.blocked_by))}" if session.blocked_by else ""
    return (
        f"pid {session.pid} of {session.role} ({session.application or 'unnamed'}): {session.state} for"
        f" {session.in_state:.0f} s, in a transaction for {session.in_transaction:.0f} s{waits}"
    )


def _end(context: Context) -> Mapping[str, Json]:
    import psycopg  # noqa: PLC0415 - as in see_sessions()

    from runbooks.response.database import end  # noqa: PLC0415 - as above

    if "sessions" not in context.facts:
        raise Halt("which sessions are to be ended was not put down; begin at the step choose-sessions")
    ended: Any = context.facts["sessions"]
    for session in ended:
        try:
            end(context.environment, session)
        except psycopg.Error as error:
            said = " ".join(str(error).split())
            by_hand = f"as a superuser: SELECT pg_terminate_backend({session['pid']})"
            raise Halt(f"session {session['pid']} of {session['role']} cannot be ended: {said}; {by_hand}") from None
        context.say(f"session {session['pid']} of {session['role']} ended")
        context.record("database.session.end", f"{session['role']} on {context.environment.name}", before=session)
    return {"ended": ended}


def _wanted(context: Context) -> list[dict[str, Json]]:
    import psycopg  # noqa: PLC0415 - as in see_sessions()

    from runbooks.response.database import sessions  # noqa: PLC0415 - as above

    asked, older_than = str(context.arguments["end"]), float(str(context.arguments["older-than"]))
    try:
        found = chosen(sessions(context.environment), asked, older_than)
    except psycopg.Error as error:
        raise Halt(f"the sessions cannot be seen: {' '.join(str(error).split())}") from None
    return [
        {
            "pid": each.pid,
            "began": each.began,
            "role": each.role,
            "application": each.application,
            "state": each.state,
            "told": _sentence(each),
        }
        for each in found
    ]


def _choose(context: Context) -> Mapping[str, Json]:
    return {"sessions": _wanted(context)}


def _are_chosen(context: Context) -> str:
    found: Any = context.facts["sessions"]
    if not found:
        return "there is no session to end"
    return "to be ended, and no other:" + "".join(f"\n  {each['told']}" for each in found)


def choose_step() -> Step:
    """Return the step that puts down which sessions the next one ends: a dry run shows them before anybody is asked."""
    return Step(
        name="choose-sessions",
        title="Put down which sessions hold others up, by `end` and `older-than`",
        asserts="it is known which sessions are to be ended",
        act=_choose,
        check=_are_chosen,
        within=60.0,
        by_hand="in psql, as the superuser: `SELECT pid, usename, state, xact_start, state_change, "
        "pg_blocking_pids(pid), query FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY xact_start`",
        reads_only=True,
    )


def _are_gone(context: Context) -> str:
    from runbooks.response.database import is_there  # noqa: PLC0415 - as in see_sessions()

    ended: Any = context.facts["ended"]
    left = [str(each["pid"]) for each in ended if is_there(context.environment, each)]
    if left:
        raise Unmet(f"still there: {', '.join(left)}")
    if not ended:
        return "there is no such session"
    return f"{', '.join(str(each['pid']) for each in ended)} gone; what they had not committed is rolled back"


def end_step() -> Step:
    """Return the step that ends sessions."""
    return Step(
        name="end-sessions",
        title="End the sessions that were put down: what they have not committed is rolled back, their clients see an "
        "error",
        asserts="they are gone",
        act=_end,
        check=_are_gone,
        within=120.0,
        by_hand="in psql, as the session's role or the superuser: `SELECT pg_terminate_backend(PID)`",
        destroys=True,
        spares=lambda arguments: arguments["end"] == NONE,
    )


def _vacuum(context: Context) -> Mapping[str, Json]:
    import psycopg  # noqa: PLC0415 - as in see_sessions()

    from runbooks.response.database import vacuum  # noqa: PLC0415 - as above

    done: list[str] = []
    try:
        for table in _needing(context):
            context.say(f"vacuum of {table.schema}.{table.name}: {table.dead} dead rows, age {table.age}")
            vacuum(context.environment, table, within=max(1.0, context.remaining() - 5))
            done.append(f"{table.schema}.{table.name}")
    except psycopg.Error as error:
        raise Halt(f"cannot vacuum: {' '.join(str(error).split())}") from None
    return {"vacuumed": done}


def _needing(context: Context) -> list[Table]:
    from runbooks.response.database import tables  # noqa: PLC0415 - as in see_sessions()

    if context.arguments["vacuum"] == NONE:
        return []
    return [each for each in tables(context.environment) if each.needs_vacuum]


def _are_vacuumed(context: Context) -> str:
    done: Any = context.facts["vacuumed"]
    left = [each for each in _needing(context) if f"{each.schema}.{each.name}" in done]
    if left:
        told = ", ".join(f"{each.schema}.{each.name} has {each.dead} dead rows, age {each.age}" for each in left)
        raise Unmet(f"{told}; an older transaction may need them still: end it, then resume")
    return f"vacuumed: {', '.join(done)}" if done else "no table needs it"


def vacuum_step() -> Step:
    """Return the step that vacuums."""
    return Step(
        name="vacuum",
        title="Vacuum the tables that autovacuum does not keep up with, and freeze old rows",
        asserts="none of them has many dead or old rows any more",
        act=_vacuum,
        check=_are_vacuumed,
        within=VACUUM_SECONDS,
        by_hand="in psql: `SELECT schemaname, relname, n_live_tup, n_dead_tup FROM pg_stat_user_tables ORDER BY "
        "n_dead_tup DESC`, then `VACUUM (ANALYZE) SCHEMA.TABLE`, as `index.balances`; for old rows "
        "`VACUUM (FREEZE, ANALYZE) SCHEMA.TABLE`",
    )


def gather_database(context: Context) -> Json:
    """Return a part of the evidence: figures of the server, its sessions and its worst tables."""
    from dataclasses import asdict  # noqa: PLC0415 - as in see_sessions()

    from runbooks.response.database import figures, sessions, tables, told  # noqa: PLC0415 - as above

    return {
        "server": figures(context.environment),
        "sessions": [told(each) for each in sessions(context.environment)][:50],
        "tables": [asdict(each) for each in tables(context.environment)][:20],
    }
