"""Queries: their algebra, and the engine that answers them."""

from search.query.algebra import Blend, Link, Near, Query, Step, Term, Then
from search.query.engine import Engine

__all__ = ["Blend", "Engine", "Link", "Near", "Query", "Step", "Term", "Then"]
