"""Customer identifiers, normalised and hashed as each platform wants them. Pure: values in, values out."""

from audience_pipeline.identifiers.columns import HASH_COLUMNS, contact_hashes
from audience_pipeline.identifiers.countries import country_code
from audience_pipeline.identifiers.customer_ids import customer_id_expr, looks_personal, pseudonym
from audience_pipeline.identifiers.rules import RULES_VERSION, hashed, normalise

__all__ = [
    "HASH_COLUMNS",
    "RULES_VERSION",
    "contact_hashes",
    "country_code",
    "customer_id_expr",
    "hashed",
    "looks_personal",
    "normalise",
    "pseudonym",
]
