"""The store: the only source of truth, vectors included. Everything else can be rebuilt from it."""

from search.store.catalogue import Catalogue
from search.store.database import Database
from search.store.fields import Fields
from search.store.intake import Intake
from search.store.jobs import JobBook
from search.store.judgements import Judgements
from search.store.labels import Labels
from search.store.passages import Passages
from search.store.queue import Finished, Queue, Unit
from search.store.readings import Readers
from search.store.spaces import Spaces
from search.store.sql import SqlStore

__all__ = [
    "Catalogue", "Database", "Fields", "Finished", "Intake", "JobBook", "Judgements", "Labels", "Passages", "Queue", "Readers", "Spaces", "SqlStore", "Unit",
]  # fmt: skip
