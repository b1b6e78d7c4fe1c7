"""The keys of definition files and what they mean: one table for the reader and for the JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping

NAME_PATTERN = "[a-z][a-z0-9_]{0,62}"
NAME_RULE = "a name has 1 to 63 of a-z, 0-9 and _ and begins with a letter"
REFRESHES = ("daily",)
MAX_HOLDOUT = 50
MAX_TIMES = 10_000
MAX_DAYS = 3_650
MAX_SEGMENT = 200

AUDIENCE_KEYS: Mapping[str, str] = {
    "name": f"What the audience is called everywhere, on the platforms too: {NAME_RULE}.",
    "description": "Who is meant and what the audience is for, in a sentence that a colleague understands.",
    "include": "Who is in: one rule. Several are put as a list under all: or any:.",
    "exclude": "Who is out although include means them: one rule.",
    "suppress": (
        "Names of rules in _suppression.yaml whose people are left out. Without this key every rule of that "
        "file applies (but those that say when_named); an empty list applies none."
    ),
    "platforms": "Where the audience is delivered.",
    "refresh": "How often members are found anew and sent.",
    "holdout_percent": (
        "Share of the members, in percent, that is never sent anywhere, so that the lift can be measured. "
        "The same people from day to day."
    ),
}
AUDIENCE_REQUIRED = ("name", "description", "include", "platforms")

RULE_KEYS: Mapping[str, str] = {
    "all": "Customers whom every rule of the list means.",
    "any": "Customers whom at least one rule of the list means.",
    "not": "Customers whom the rule does not mean.",
    "where": "Customers for whom a condition is true; whoever has an empty field in it is not meant.",
    "did": "Customers who did something, as often and as lately as is said.",
    "did_not": "Customers who did not do so, also those who did less than at_least.",
    "in": "Members of another audience, of an uploaded list, or of a segment.",
    "not_in": "Everybody but the members of another audience, of an uploaded list, or of a segment.",
}

DID_KEYS: Mapping[str, str] = {
    "event": "What was done.",
    "at_least": f"How often at least, from 1 to {MAX_TIMES:,}; 1 unless said.",
    "at_most": f"How often at most, from 1 to {MAX_TIMES:,}; without end unless said.",
    "within_days": (
        f"In how many days, from 1 to {MAX_DAYS:,}, which end with the as-of date and include it; "
        "ever unless said."
    ),
    "where": "Only events for which a condition over their properties is true.",
}

GROUP_KEYS: Mapping[str, str] = {
    "audience": "Members of another audience, its holdout included.",
    "list": "Customers on an uploaded list (audience-pipeline audiences upload), by any identifier.",
    "segment": "Customers of a segment, by its name as it is shown.",
}

SUPPRESSION_KEYS: Mapping[str, str] = {
    "name": f"What audiences call the rule under suppress: {NAME_RULE}.",
    "description": "Who is left out, and why.",
    "include": (
        "Who is left out: one rule. It may name segments and lists, but no audience. A list that nobody has "
        "uploaded yet holds nobody here, if it is written {list: NAME}."
    ),
    "applies": (
        "To which audiences: everywhere (to all without a list suppress: of their own) or when_named (only "
        "to those that name it)."
    ),
}
SUPPRESSION_REQUIRED = ("name", "description", "include")
EVERYWHERE, WHEN_NAMED = "everywhere", "when_named"
APPLIES = (EVERYWHERE, WHEN_NAMED)
SUPPRESSION_FILE_KEYS: Mapping[str, str] = {
    "rules": "Who must not be in an audience, unless the audience has a list suppress: of its own."
}
