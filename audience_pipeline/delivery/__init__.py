"""The platform made equal to the membership: plan, run, verify."""
