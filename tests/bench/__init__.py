"""Benchmarks: what the figures of the README were measured with. ``make bench`` runs them all; nothing here is a test."""
