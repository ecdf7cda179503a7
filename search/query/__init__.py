"""Queries: their algebra, and the engine that answers them."""

from search.query.algebra import Blend, Near, Query, Term
from search.query.engine import Engine

__all__ = ["Blend", "Engine", "Near", "Query", "Term"]
