"""Customer identifiers, normalised and hashed as each platform wants them. Pure: values in, values out."""

from audience_pipeline.identifiers.columns import HASH_COLUMNS, contact_hashes
from audience_pipeline.identifiers.countries import country_code
from audience_pipeline.identifiers.customer_ids import customer_id_expr, looks_personal, pseudonym
from audience_pipeline.identifiers.devices import device_id_expr
from audience_pipeline.identifiers.free_text import CODES, WORDS, ContactPatterns, holds_contact
from audience_pipeline.identifiers.rules import RULES_VERSION, hashed, normalise

__all__ = [
    "CODES",
    "HASH_COLUMNS",
    "RULES_VERSION",
    "WORDS",
    "ContactPatterns",
    "contact_hashes",
    "country_code",
    "customer_id_expr",
    "device_id_expr",
    "hashed",
    "holds_contact",
    "looks_personal",
    "normalise",
    "pseudonym",
]
