"""One long-lived service under hours of mixed work."""
