"""Benchmarks: what the figures of docs/figures.md were measured with. ``make bench`` runs them all; nothing here is a test."""
