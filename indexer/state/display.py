"""What a person reads of a report, a comparison or a repair."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from indexer.bitcoin.block import display

if TYPE_CHECKING:
    from indexer.state.compare import Comparison, Pair
    from indexer.state.repair import Outcome
    from indexer.state.verify import Report


def report_lines(report: Report) -> list[str]:
    """Say whether an index is consistent, and what is wrong with it."""
    return [
        *_found_lines(report),
        *([] if report.is_consistent else ["see what would mend it: simplicity state repair"]),
    ]


def _found_lines(report: Report) -> list[str]:
    findings = report.findings
    compared = f"{report.blocks} blocks with {report.operations} operations, up to block {report.height}"
    if report.is_consistent:
        lines = [
            f"consistent: {compared}",
            f"  block hash    {display(report.block_hash)}",
            f"  state hash    {report.state_hash.hex()}",
            f"  state digest  {report.state_digest.hex()}",
        ]
    elif findings.first_block is None:
        lines = [f"DIFFERS, but no block does: {compared}"]
    else:
        lines = [f"DIFFERS from block {findings.first_block} on: {compared}"]
    for table, some in findings.shown.items():
        count = findings.counts[table]
        lines.append(f"  {table}: {count} {'row' if count == 1 else 'rows'}")
        lines += [f"    {difference}" for difference in some]
        lines += ["    …"] if count > len(some) else []
    return lines + [f"  {note}" for note in findings.notes]


def comparison_lines(comparison: Comparison) -> list[str]:
    """Say where two indexers differ."""
    sides = [
        f"  here   {comparison.here}, tip {comparison.tips.here}",
        f"  there  {comparison.there}, tip {comparison.tips.there}",
    ]
    if comparison.is_equal:
        return [f"equal up to block {comparison.height}", *sides]
    lines = [f"DIFFER from block {comparison.first_block} on", *sides]
    lines += [f"  {name}: {pair.here} here, {pair.there} there" for name, pair in comparison.values.items()]
    lines += [_operation_line(number, pair) for number, pair in comparison.operations.items()]
    if not comparison.operations:
        lines.append("  its operations are alike in all that both sides show of them")
    return lines


def _operation_line(number: int, pair: Pair) -> str:
    here, there = (json.dumps(value, ensure_ascii=False) for value in pair)
    if pair.here is None or pair.there is None:
        return f"  operation {number}: only {f'there: {there}' if pair.here is None else f'here: {here}'}"
    return f"  operation {number}: {here} here, {there} there"


def outcome_lines(outcome: Outcome) -> list[str]:
    """Say what a repair would do or has done."""
    plan = outcome.plan
    lines = _found_lines(plan.report)
    if not plan.is_needed:
        return [*lines, "nothing to mend"]
    kept = f"blocks and operations up to block {plan.good}"
    again = f"blocks {plan.good + 1} to {plan.stood}"
    if outcome.deleted is None or outcome.after is None:
        steps = [f"would keep the {kept} and recompute deploys, balances and undo data from them"]
        steps += [f"would delete {again} and index them anew from the node"] if plan.good < plan.stood else []
        return [*lines, *steps, "to do it, stop every sync and add --yes"]
    lines.append(f"kept the {kept} and recomputed deploys, balances and undo data from them")
    lines.append(f"deleted {outcome.deleted.blocks} blocks with {outcome.deleted.operations} operations")
    if outcome.problem:
        lines.append(f"not indexed anew: {outcome.problem}")
    elif outcome.after.height < plan.stood:
        lines.append(f"simplicity sync indexes blocks {outcome.after.height + 1} to {plan.stood} anew")
    return [*lines, "now:", *_found_lines(outcome.after)]
