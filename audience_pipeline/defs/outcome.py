"""What a delivery shows in Dagster: counts, the audiences worth a look, and how to go on. Bounded in size."""

from collections.abc import Callable, Iterable, Mapping

import dagster as dg

from audience_pipeline.defs.sending import Outcome, few
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.ledger.records import DeliveryState
from audience_pipeline.platforms.contract import Platform

SHOWN_AUDIENCES = 50

Metadata = dict[str, dg.MetadataValue | int | str]
Row = Callable[[DeliveryReport], Mapping[str, int | str]]


def metadata(outcome: Outcome) -> Metadata:
    """Counts over all audiences, and a table of those that changed or have a problem."""
    reports = outcome.reports
    if outcome.not_configured:
        return {"audiences": 0, "not_configured": outcome.not_configured}
    shown = [report for report in reports if report.sent or report.removed or not report.ok]
    said: Metadata = {
        "audiences": len(reports),
        "audiences_changed": sum(bool(report.sent or report.removed) for report in reports),
        "delivered": sum(report.delivered for report in reports),
        "sent": sum(report.sent for report in reports),
        "removed": sum(report.removed for report in reports),
        "rejected": sum(report.rejected for report in reports),
    }
    if shown:
        said["changed_or_with_a_problem"] = _table(
            sorted(shown, key=lambda report: report.ok),
            lambda report: {
                "wanted": report.wanted,
                "delivered": report.delivered,
                "sent": report.sent,
                "removed": report.removed,
                "rejected": report.rejected,
            },
        )
    return {**said, **_held(outcome), **_not_evaluated(outcome)}


def planned(outcome: Outcome) -> Metadata:
    """What a dry run has found: who would come and go in each audience, the largest changes first."""
    if outcome.not_configured:
        return {"not_configured": outcome.not_configured}
    plans = [(report, report.as_dict()["plan"] or {}) for report in outcome.reports]
    said: Metadata = {
        "audiences": len(plans),
        "to_add": sum(plan.get("to_add", 0) for _, plan in plans),
        "to_remove": sum(plan.get("to_remove", 0) for _, plan in plans),
    }
    sized = {
        report.key.audience: (plan.get("to_add", 0) + plan.get("to_remove", 0), plan)
        for report, plan in plans
    }
    if plans:
        said["plan"] = _table(
            sorted(outcome.reports, key=lambda report: -sized[report.key.audience][0]),
            lambda report: {
                "wanted": report.wanted,
                "there now": report.delivered,
                "to add": int(sized[report.key.audience][1].get("to_add", 0)),
                "to remove": int(sized[report.key.audience][1].get("to_remove", 0)),
                "on the platform": str(sized[report.key.audience][1].get("remote_name", "")),
                "held": str(sized[report.key.audience][1].get("held", "")),
            },
        )
    return {**said, **_held(outcome), **_not_evaluated(outcome)}


def arrived(outcome: Outcome) -> dg.AssetCheckResult:
    """The check of a delivery that came to its end."""
    if outcome.not_configured:
        return dg.AssetCheckResult(
            check_name="every_audience_arrived",
            passed=False,
            severity=dg.AssetCheckSeverity.WARN,
            description=outcome.not_configured,
        )
    problems = [
        f"{report.key.audience}: {' '.join(report.sentences)}" for report in outcome.reports if not report.ok
    ]
    problems += [f"{name} could not be brought up to date: {why}" for name, why in outcome.unknown.items()]
    return dg.AssetCheckResult(
        check_name="every_audience_arrived",
        passed=not problems,
        description=few(problems) or f"{len(outcome.reports):,} audiences",
    )


def unfinished(outcome: Outcome) -> list[DeliveryReport]:
    """Audiences of which the platform could not be told everything."""
    states = {DeliveryState.FAILED, DeliveryState.INCOMPLETE}
    return [report for report in outcome.reports if report.state in states]


def refusal(outcome: Outcome) -> dg.Failure:
    """Makes the step fail, so that it is tried again."""
    left = unfinished(outcome)
    stopped = [report for report in left if report.platform_stopped]
    # One sentence stops a platform; that the others were not tried says nothing more.
    said = stopped[:1] or left
    return dg.Failure(
        few(f"{report.key.audience}: {' '.join(report.sentences)}" for report in said),
        metadata={**metadata(outcome), "audiences_unfinished": len(left)},
        allow_retries=not stopped,
    )


def _table(reports: Iterable[DeliveryReport], row: Row) -> dg.MetadataValue:
    records = [
        dg.TableRecord(
            {
                "audience": report.key.audience,
                "state": str(report.as_dict()["state"]),
                **row(report),
                "note": " ".join(report.sentences),
            }
        )
        for report in reports
    ]
    if (more := len(records) - SHOWN_AUDIENCES) > 0:
        empty = {name: "" if isinstance(value, str) else None for name, value in records[0].data.items()}
        rest = {**empty, "audience": f"and {more:,} more"}
        records = [*records[:SHOWN_AUDIENCES], dg.TableRecord(rest)]
    return dg.MetadataValue.table(records)


def _held(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    """How to let go what the brake holds, ready to be copied into the launchpad."""
    held = [
        report.key.audience
        for report in outcome.reports
        if report.state is DeliveryState.HELD or (report.as_dict()["plan"] or {}).get("held")
    ]
    return {"held": dg.MetadataValue.md(how_to_confirm(outcome.platform, held))} if held else {}


def how_to_confirm(platform: Platform, audiences: list[str]) -> str:
    """Markdown with the launch that confirms some audiences of a platform."""
    names = ", ".join(audiences[:SHOWN_AUDIENCES])
    return (
        f"{len(audiences):,} audiences wait until somebody has looked at them. To go on, launch this asset "
        f"with:\n\n```yaml\nops:\n  {platform.value}__audience_sync:\n    config:\n"
        f"      audiences: [{names}]\n      confirm: true\n```\n\n"
        f"or run `audience-pipeline audiences sync {names.replace(',', '')} --platform {platform.value} "
        "--yes`."
    )


def _not_evaluated(outcome: Outcome) -> Mapping[str, dg.MetadataValue]:
    listed = dict(list(outcome.unknown.items())[:SHOWN_AUDIENCES])
    if (more := len(outcome.unknown) - len(listed)) > 0:
        listed["and"] = f"{more:,} more"
    return {"not_evaluated": dg.MetadataValue.json(listed)} if listed else {}
