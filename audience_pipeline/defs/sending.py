"""Gathers what one platform should hold, and has it delivered: what the sync assets do."""

from datetime import date
from functools import cached_property

import dagster as dg
import polars as pl

from audience_pipeline.audiences import eligibility
from audience_pipeline.audiences.definition import Definition, DefinitionErrors, Definitions
from audience_pipeline.audiences.errors import MembershipError
from audience_pipeline.audiences.sound import Sound, load_sound
from audience_pipeline.audiences.stored import read_members
from audience_pipeline.audiences.words import shown
from audience_pipeline.defs.addresses import addresses_of_opted_out
from audience_pipeline.defs.consent import decided
from audience_pipeline.defs.consent_log import log_statements
from audience_pipeline.defs.lake import newest_landing, note_consent_sent
from audience_pipeline.defs.numbers import numbering
from audience_pipeline.defs.storage import table_path
from audience_pipeline.defs.vocabulary import vocabulary
from audience_pipeline.delivery.recipients import Recipient, Wanted, members_for
from audience_pipeline.delivery.report import DeliveryReport
from audience_pipeline.delivery.run import sync
from audience_pipeline.ledger import deliveries, refreshes
from audience_pipeline.ledger.database import Ledger
from audience_pipeline.ledger.records import AudienceKey, DeliveryState, MemberState
from audience_pipeline.ledger.refreshes import Refresh
from audience_pipeline.platforms.contract import CAPABILITIES, AudienceClient, Member, Platform
from audience_pipeline.settings import Settings

DEFINED_LATER = "it was defined after the newest refresh; run daily_refresh first"


class SyncConfig(dg.Config):
    """Which audiences are delivered, and how carefully."""

    audiences: list[str] | None = None
    """Names; every audience of the platform without it."""
    dry_run: bool = False
    """Only say what would be sent."""
    confirm: bool = False
    """Go on where the brake would hold: a change that empties or doubles an audience."""


def newest_refresh(settings: Settings, ledger: Ledger) -> Refresh:
    """The newest as-of date whose memberships are complete.

    Raises:
        dg.Failure: there is none yet.
    """
    complete = [
        refresh
        for refresh in refreshes.completed(ledger)
        if table_path(settings.lake, "audience_memberships", refresh.as_of.isoformat()).is_file()
    ]
    if not complete:
        raise dg.Failure("no as-of date is complete yet: run daily_refresh first", allow_retries=False)
    return complete[-1]


def deliver(
    settings: Settings, ledger: Ledger, client: AudienceClient, config: SyncConfig
) -> tuple[list[DeliveryReport], dict[str, str]]:
    """Sync each audience of one platform with the newest memberships.

    Consent is decided with every statement that has landed by now, not only with those of the as-of date.

    Returns:
        The reports, and audiences whose members are not known, with the reason: the newest refresh did not
        evaluate them, what it stored cannot be read, or their definition has a mistake. Those that were
        delivered before keep the people whom they have, as far as these may still be sent; the others are
        left alone.
    """
    refresh = newest_refresh(settings, ledger)
    platform = client.capabilities.platform
    statements = newest_landing(ledger)
    log_statements(settings, ledger)
    sending = _Sending.gather(settings, ledger, refresh, platform)
    evaluated = set(refresh.details.get("audiences", ()))
    reasons = refresh.details.get("not_evaluated", {})
    unknown: dict[str, str] = {}
    reports: list[DeliveryReport] = []
    known = _defined(settings)
    for audience in _audiences(known, platform, config):
        description = " ".join(audience.description.split())
        wanted: Wanted | None
        try:
            if audience.name not in evaluated:
                raise MembershipError(reasons.get(audience.name, DEFINED_LATER))
            wanted = sending.wanted(audience.name)
        except MembershipError as error:
            unknown[audience.name] = str(error)
            wanted = sending.kept(ledger, AudienceKey(platform, client.account, audience.name))
        if wanted is None:
            continue
        reports.append(sending.sync(ledger, client, config, audience.name, wanted, description))
        if reports[-1].platform_stopped:
            return reports, unknown
    delivered = _delivered(ledger, client)
    for name in sorted(known.mistakes.keys() | delivered):
        reason = known.reason(name)
        if reason is None or name not in (config.audiences or [name]):
            continue
        unknown[name] = reason
        left = sending.kept(ledger, AudienceKey(platform, client.account, name))
        if left is not None:
            reports.append(sending.sync(ledger, client, config, name, left, ""))
            if reports[-1].platform_stopped:
                return reports, unknown
    if config.audiences is None:
        wanted_here = {audience.name for audience in _audiences(known, platform, config)}
        reports += [
            sending.sync(ledger, client, config, name, {}, "", retired=True)
            for name in delivered
            if name not in wanted_here and known.reason(name) is None
        ]
        if not config.dry_run and all(_follows_consent(report) for report in reports):
            note_consent_sent(settings.lake, platform.value, statements)
    return reports, unknown


def _follows_consent(report: DeliveryReport) -> bool:
    """Whether nobody without consent is left. A held audience has let them go, and waits for an answer."""
    if report.state is not DeliveryState.HELD:
        return report.ok
    asked = 0 if report.plan is None else len(report.plan.removals)
    return report.rejected == 0 and report.removed >= asked


def any_id_of(customers: pl.DataFrame, identities: pl.DataFrame | None) -> frozenset[str]:
    """Ids of customers (``customer_id``), and those that became theirs by a merge.

    Somebody who was delivered before a merge is there under the id of that time.
    """
    ids = frozenset(customers["customer_id"])
    if identities is None:
        return ids
    return ids | frozenset(identities.join(customers, on="customer_id", how="semi")["source_id"])


class _Sending:
    """The newest memberships, and who of them may be sent to one platform."""

    def __init__(
        self,
        settings: Settings,
        as_of: date,
        platform: Platform,
        customers: pl.DataFrame,
        identifiers: pl.DataFrame,
        consent: pl.DataFrame,
        identities: pl.DataFrame | None,
    ) -> None:
        # As of consent: whatever has landed counts.
        self._addresses = addresses_of_opted_out(settings, date.max, consent, identities)
        self._settings, self._as_of, self._platform = settings, as_of, platform
        self._customers, self._identifiers, self._consent = customers, identifiers, consent
        self._memberships = table_path(settings.lake, "audience_memberships", as_of.isoformat())
        refused = consent.filter(~pl.col(f"advertising_{platform.value}"))
        sharing = eligibility.opted_out(identifiers, consent, CAPABILITIES[platform], self._addresses)
        lost = pl.concat([refused["customer_id"], sharing]).unique().to_frame("customer_id")
        self._no_consent = any_id_of(lost, identities)
        allowed = consent.filter(f"advertising_{platform.value}").select("customer_id")
        self._may_be_sent = any_id_of(allowed, identities) - self._no_consent

    @classmethod
    def gather(cls, settings: Settings, ledger: Ledger, refresh: Refresh, platform: Platform) -> "_Sending":
        day = refresh.as_of.isoformat()
        profile = table_path(settings.lake, "customer_profile", day)
        customers = pl.read_parquet(profile, columns=["customer_id", "customer_no"])
        people = table_path(settings.lake, "identities", day)
        same = pl.read_parquet(people, columns=["source_id", "customer_id"]) if people.is_file() else None
        # Clocks differ: whatever has landed counts, also what is dated tomorrow.
        consent = decided(
            settings,
            ledger,
            date.max,
            customers.lazy().select("customer_id"),
            None if same is None else same.lazy(),
        ).collect()
        identifiers = pl.read_parquet(table_path(settings.lake, "identifiers", day))
        return cls(settings, refresh.as_of, platform, customers, identifiers, consent, same)

    @cached_property
    def _standing(self) -> pl.DataFrame:
        """Where everybody stands with the platform: worked out once for all audiences."""
        return eligibility.standing(
            self._identifiers, self._consent, CAPABILITIES[self._platform], self._addresses
        )

    def wanted(self, audience: str) -> Wanted:
        """Whom an audience should hold.

        Raises:
            MembershipError: the stored memberships cannot be read.
        """
        members = read_members(
            self._memberships, audience, self._customers, numbering=numbering(self._settings.lake)
        )
        who = eligibility.decided(members, self._standing)
        return members_for(self._platform, who.filter("eligible")["customer_id"], self._identifiers)

    def kept(self, ledger: Ledger, key: AudienceKey) -> Wanted | None:
        """Whom an audience holds already, of those who may still be sent; None where it was never sent."""
        with ledger.reading() as connection:
            delivered = deliveries.members(connection, key)
        if not delivered:
            return None
        return {
            person.customer_id: Recipient(
                Member(person.customer_id, dict(person.identifiers)), person.fingerprint
            )
            for person in delivered
            if person.state is not MemberState.REMOVING and person.customer_id in self._may_be_sent
        }

    def sync(
        self,
        ledger: Ledger,
        client: AudienceClient,
        config: SyncConfig,
        audience: str,
        wanted: Wanted,
        description: str,
        *,
        retired: bool = False,
    ) -> DeliveryReport:
        return sync(
            ledger,
            client,
            audience,
            wanted,
            as_of=self._as_of,
            consent_lost=self._no_consent,
            confirm=config.confirm,
            dry_run=config.dry_run,
            prefix=f"{self._settings.config.shop.name} ",
            description=description,
            retired=retired,
        )


def _defined(settings: Settings) -> Sound:
    """What the definition files say. Whatever is wrong with them, opt-outs are delivered all the same."""
    try:
        return load_sound(settings.audiences, **vocabulary(settings, with_segments=False))
    except DefinitionErrors as error:
        return Sound(Definitions(()), nameless=error.problems, problems=error.problems)


def _delivered(ledger: Ledger, client: AudienceClient) -> list[str]:
    """Audiences that were delivered once."""
    with ledger.reading() as connection:
        known = deliveries.audiences(connection, client.capabilities.platform, client.account)
    return [audience.key.audience for audience in known]


def _audiences(known: Sound, platform: Platform, config: SyncConfig) -> list[Definition]:
    names = {*known.definitions.names, *known.mistakes}
    if not known.nameless and (unknown := sorted(set(config.audiences or []) - names)):
        raise dg.Failure(
            f"no audience is called {', '.join(map(shown, unknown))}; there are {', '.join(sorted(names))}",
            allow_retries=False,
        )
    return [
        audience
        for audience in known.definitions
        if platform in audience.platforms and (config.audiences is None or audience.name in config.audiences)
    ]
