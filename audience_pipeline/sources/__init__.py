"""Raw files in, validated tables out: contracts, readers, quarantine, landing."""
