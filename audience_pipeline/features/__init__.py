"""What a customer looked like on a date."""
