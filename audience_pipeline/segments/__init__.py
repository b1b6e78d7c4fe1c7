"""Groups of customers who behave alike: found, named, described."""
