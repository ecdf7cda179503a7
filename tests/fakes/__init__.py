"""Stand-ins for tests, derived from content, so that ranking can be asserted: random vectors prove nothing."""
