"""Use cases: what callers may ask for, in our own words. Knows no HTTP and no SQL."""
