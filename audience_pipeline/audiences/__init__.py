"""The profile, definitions, criteria, membership, eligibility and preview of audiences."""
