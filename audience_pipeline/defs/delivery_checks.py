"""Checks on what platforms hold, after each delivery and once a day: ledger and platform, and platforms."""

from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from audience_pipeline.defs.comparing import platforms_differ
from audience_pipeline.defs.pictures import small_table
from audience_pipeline.defs.resources import LedgerResource, PlatformResource
from audience_pipeline.defs.sending import few
from audience_pipeline.defs.verifying import verify_platform
from audience_pipeline.delivery.agreement import Disagreement
from audience_pipeline.delivery.gaps import HARMLESS
from audience_pipeline.delivery.verify import Verification
from audience_pipeline.ledger.members import MemberStore
from audience_pipeline.platforms.contract import Platform
from audience_pipeline.settings import Settings

RECONCILED, AGREE = "ledger_and_platform_agree", "platforms_agree"
MOST_SAID, MOST_SHOWN = 5, 50
URGENT = frozenset({"no_consent", "unconfigured", "owed", "unreachable"})
"""Kinds of gaps that people are owed, and not only campaigns."""


def delivery_checks(settings: Settings) -> Sequence[dg.AssetChecksDefinition]:
    """One step per platform with two checks of its sync asset."""
    return [_checks_of(settings, platform) for platform in Platform]


def _checks_of(settings: Settings, platform: Platform) -> dg.AssetChecksDefinition:
    sync = dg.AssetKey([platform.value, "audience_sync"])

    @dg.multi_asset_check(
        name=f"{platform.value}_reconciliation",
        specs=[
            dg.AssetCheckSpec(
                RECONCILED,
                asset=sync,
                description=f"What {platform.value} shows is what the ledger says: size, status, names, "
                "expiry; nobody is there who may not be, and no removal is owed. Each gap says what to do.",
            ),
            dg.AssetCheckSpec(
                AGREE,
                asset=sync,
                description=f"{platform.value} holds the same people of each audience as the other "
                "platforms, within 10 %: in number, and in shares of LTV quintiles, countries and segments.",
            ),
        ],
        required_resource_keys={"ledger", f"{platform.value}_account"},
        can_subset=True,
    )
    def reconciliation(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        ledger: LedgerResource = context.resources.ledger
        resource: PlatformResource = getattr(context.resources, f"{platform.value}_account")
        asked = {key.name for key in context.selected_asset_check_keys}
        with ledger.open() as opened:
            if RECONCILED in asked:
                yield reconciled(sync, verify_platform(settings, opened, resource))
            if AGREE in asked:
                store = MemberStore(opened, settings.delivered)
                yield agreed(sync, *platforms_differ(settings, store, platform))

    return reconciliation


def reconciled(asset: dg.AssetKey, found: Sequence[Verification]) -> dg.AssetCheckResult:
    """The result of comparing ledger and platform; it warns where there are mere remarks."""
    gaps = [(one.account, gap) for one in found for gap in one.gaps]
    gaps.sort(key=lambda one: (one[1].kind not in URGENT, one[1].kind in HARMLESS, one[1].audience))
    audiences = sum(one.audiences for one in found)
    said = [f"{gap.audience}: {gap.sentence}" if gap.audience else gap.sentence for _, gap in gaps]
    table = pl.DataFrame(
        [
            {"account": account, "audience": gap.audience, "kind": gap.kind, "what to do": gap.sentence}
            for account, gap in gaps[:MOST_SHOWN]
        ],
        schema=dict.fromkeys(("account", "audience", "kind", "what to do"), pl.String),
    )
    harmless = all(gap.kind in HARMLESS for _, gap in gaps)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=RECONCILED,
        passed=not gaps,
        severity=dg.AssetCheckSeverity.WARN if harmless else dg.AssetCheckSeverity.ERROR,
        description=few(said, MOST_SAID)
        or f"{audiences:,} audiences in {len(found):,} accounts are as they should be",
        metadata={
            "audiences": audiences,
            "accounts": len(found),
            "gaps": sum(gap.needs_action for _, gap in gaps),
            "remarks": sum(not gap.needs_action for _, gap in gaps),
            "table": small_table(table),
        },
    )


def agreed(asset: dg.AssetKey, compared: int, found: Sequence[Disagreement]) -> dg.AssetCheckResult:
    """The result of comparing platforms; it warns where consent and identifiers explain all of it."""
    ordered = sorted(found, key=lambda one: (one.explained, one.audience))
    table = pl.DataFrame(
        [
            {"audience": one.audience, "explained": one.explained, "difference": one.sentence}
            for one in ordered[:MOST_SHOWN]
        ],
        schema={"audience": pl.String, "explained": pl.Boolean, "difference": pl.String},
    )
    explained = all(one.explained for one in found)
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=AGREE,
        passed=not found,
        severity=dg.AssetCheckSeverity.WARN if explained else dg.AssetCheckSeverity.ERROR,
        description=few((one.sentence for one in ordered), MOST_SAID)
        or f"{compared:,} audiences are alike on all of their platforms",
        metadata={"compared": compared, "differences": len(found), "table": small_table(table)},
    )
