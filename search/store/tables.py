"""The tables. Times are milliseconds since 1970; paths are bytes, since a file name need not be valid text.

``change.count`` grows with every transaction that changes what can be found or is shown. It tells readers when their caches are
stale. Rows of ``embedding`` and ``removal`` are numbered in commit order: an index that has read both up to a number needs only
later rows. Ids of segments are never reused.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy import Text as _Text

REVISION = "0028"
"""The head of the migrations that these tables equal."""

WORDS = "words"
"""The index of words: a table of SQLite's FTS5 with those that it keeps beside itself, ``words_…``, or one of PostgreSQL.
Migrations 0007 and 0008 make it, with the triggers that keep it in step; it is not described here."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Text(TypeDecorator[str]):
    """Text of any length. PostgreSQL does not accept NUL, which some files contain; it is stored as the Unicode replacement
    character."""

    impl = _Text
    cache_ok = True

    def process_bind_param(self, value: str | None, _: object) -> str | None:
        """The stored form of ``value``."""
        return value.replace("\0", "\ufffd") if value else value


_Id = BigInteger().with_variant(Integer, "sqlite")


def _key() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _to(table: str, *, nullable: bool = False, index: bool = False) -> Column[int]:
    target = ForeignKey(f"{table}.id", ondelete="CASCADE")
    return Column(f"{table}_id", _Id, target, nullable=nullable, index=index)


change = Table("change", metadata, Column("id", Integer, primary_key=True), Column("count", BigInteger, nullable=False))

collection = Table(
    "collection",
    metadata,
    _key(),
    Column("name", String(200), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

root = Table(
    "root",
    metadata,
    _key(),
    _to("collection"),
    Column("path", LargeBinary, nullable=False),
    UniqueConstraint("collection_id", "path"),
)

asset = Table(
    "asset",
    metadata,
    _key(),
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the bytes
    Column("size", BigInteger, nullable=False),
    Column("modality", String(16)),  # None until it was decoded
    Column("format", String(64)),
    Column("width", Integer),
    Column("height", Integer),
    Column("duration_ms", BigInteger),
    Column("first_stamp_ms", BigInteger),  # of sound and films, on the file's own clock; times of segments count from it
    Column("subtitles", Integer),  # how many tracks of them; None: it was decoded before they were counted
    Column("taken_with", String(64)),  # what a phone writes into a photograph and the film taken with it; None: nothing
    Column("title", Text),
    Column("day", Integer),  # days since 1970: the first on which it may have been taken, or else last changed
    Column("last_day", Integer),  # the last one: another where the date is partial or its zone unknown
    Column("dated_by", String(16)),  # where the date comes from; None: to be looked for
    Column("taken_at", String(32)),  # the date as it is written, in local time where the zone is known: ISO 8601, may be partial
    Column("stamps", Text),  # all dates that were found, with where they come from: JSON
    Column("origin", String(16)),  # how it came about, as it states itself; None: it does not
    Column("credentials", String(16)),  # what came of checking its content credentials; None: it has none
    Column("provenance", Text),  # the evidence for both, a sentence
    Column(
        "camera", String(300)
    ),  # what made it, maker and model; "": it does not say; None: nobody has looked, for the next two either
    Column("rights", String(300)),  # its copyright notice and its licence
    Column("latitude", Float),  # where it was made, in degrees
    Column("longitude", Float),
    Column("zone", String(64)),  # that the setting gave for a time in UTC, "" for none; None: none was asked for
    Column("dates_beside", String(64)),  # a fingerprint of the files beside it that may tell its date
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

location = Table(
    "location",
    metadata,
    _key(),
    _to("collection"),
    _to("asset", nullable=True, index=True),  # None: its bytes could not be read
    Column("path", LargeBinary, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("ctime_ns", BigInteger),  # None: seen by a version that did not look
    Column("inode", BigInteger),  # its lower 63 bits; None: its file system gives no lasting ones
    Column("device", BigInteger),  # of the file system that it was last met on
    Column("state", String(16), nullable=False),  # present, missing, away: its folder or file system is not there
    Column("seen", BigInteger, nullable=False),  # the last scan that met it
    UniqueConstraint("collection_id", "path"),
    Index("ix_location_path", "path"),
)

renamed = Table(  # assets whose files have come, gone or changed since their names were written: triggers of 0012
    "renamed",
    metadata,
    Column("asset_id", _Id, primary_key=True, autoincrement=False),  # no key to its table: it may be gone by then
)

passed = Table(  # files that no reader takes: looked at once, and counted
    "passed",
    metadata,
    _key(),
    _to("collection"),
    Column("path", LargeBinary, nullable=False),
    Column("suffix", String(32), nullable=False),  # lower-case, with its dot; empty: none
    Column("known", Boolean, nullable=False),  # whether it is media or a document, in a format without a reader
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),  # the last scan that met it
    UniqueConstraint("collection_id", "path"),
)

segment = Table(
    "segment",
    metadata,
    _key(),
    _to("asset"),
    Column("channel", String(16), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("unit", String(4)),  # of the span: ms, char; None: the asset as a whole
    Column("start", BigInteger),
    Column("end", BigInteger),
    Column("text", Text),
    Column(
        "reader_id", _Id, index=True
    ),  # who read it; None: it was cut from the asset. No key to its table: SQLite adds none in place
    Column("source", String(200)),  # who read it, or where it stood, in words
    Column("language", String(16)),
    Column("confidence", Float),
    Column("detail", Text),  # words with times, box, whether it is a translation: JSON
    UniqueConstraint("asset_id", "channel", "ordinal"),
    sqlite_autoincrement=True,
)

word = Table(  # kept by the triggers of migrations 0007 and 0008
    "word",
    metadata,
    Column("term", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),  # of segments that hold it
    Column("sound", String(64), nullable=False, index=True),  # by Metaphone; empty where it has other letters than a to z
    Column("added", BigInteger, nullable=False, server_default="0", index=True),  # the change that brought it
    sqlite_with_rowid=False,
)

reader = Table(
    "reader",
    metadata,
    _key(),
    Column("name", String(500), nullable=False, unique=True),  # by which it is loaded
    Column("revision", String(64), nullable=False),
    Column("modalities", String(200), nullable=False),  # of assets that it reads, separated by commas
    Column("channels", String(200), nullable=False),  # that it fills, separated by commas
    Column("collections", Text, nullable=False),  # that it reads, as a JSON list; none: all
    Column("labels", Text, nullable=False, server_default="[]"),  # that it looks for, as a JSON list
    Column("created_at", BigInteger, nullable=False),
)

reading = Table(  # like unit: an asset that is to be read by a reader
    "reading",
    metadata,
    _key(),
    _to("asset"),
    _to("reader"),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("leased_until", BigInteger),
    Column("worker", String(64)),
    Column("reason", String(32)),
    Column("beside", String(64)),  # a fingerprint of what lay beside the file when it was read; None: nothing is looked for there
    Column("passages", Integer),  # how many it read, so that a loss shows; None: not counted, as in older archives
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("asset_id", "reader_id"),
    Index("ix_reading_reader_id_state", "reader_id", "state"),
)

region = Table(  # what the windows of a picture, or of a frame of a shot, show
    "region",
    metadata,
    _key(),
    _to("asset", index=True),
    _to("reader", index=True),
    Column("start", BigInteger),  # of the shot, in milliseconds; None: it is a picture
    Column("end", BigInteger),
    Column("at_ms", BigInteger),  # when the frame is on screen
    Column("codes", LargeBinary, nullable=False),  # see search/index/window_codes.py
    sqlite_autoincrement=True,
)

thing = Table(  # what a detector saw in a picture or in a frame of a shot, or what people said is there
    "thing",
    metadata,
    _key(),
    _to("asset", index=True),
    _to("reader", nullable=True, index=True),  # None: it was imported
    Column("start", BigInteger),  # of the shot, in milliseconds; None: it is in a picture
    Column("end", BigInteger),
    Column("at_ms", BigInteger),  # when the frame is on screen
    Column("label", String(200), nullable=False, index=True),
    Column("confidence", Float),  # None: it was imported
    Column("left", Float, nullable=False),  # of the box, in percent of the picture's width and height
    Column("top", Float, nullable=False),
    Column("width", Float, nullable=False),
    Column("height", Float, nullable=False),
    sqlite_autoincrement=True,
)

fingerprint = Table(  # by which copies are found, see search/media/fingerprints.py
    "fingerprint",
    metadata,
    Column("segment_id", _Id, ForeignKey("segment.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("codes", LargeBinary, nullable=False),  # 8 bytes a frame, or 4 bytes a step of sound, little-endian
    Column(
        "times", LargeBinary
    ),  # of frames, in milliseconds from the beginning of the file: 4 bytes each; None: it is a still, or sound
)

space = Table(
    "space",
    metadata,
    _key(),
    Column("name", String(200), nullable=False),
    Column("family", String(64), nullable=False),
    Column("model", String(200), nullable=False),
    Column("revision", String(64), nullable=False),
    Column("dim", Integer, nullable=False),
    Column("accepts", String(200), nullable=False),  # modalities, separated by commas
    Column("encoder", String(1000), nullable=False, server_default=""),  # by which name it is loaded
    Column("is_default", Boolean, nullable=False, server_default="0"),  # one of them answers where none is named
    Column("kinds", String(1000), nullable=False, server_default=""),  # of segments that it takes in, separated by commas
    Column("collections", Text, nullable=False, server_default="[]"),  # that it takes in, as a JSON list; none: all
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("name", "revision"),
)

embedding = Table(
    "embedding",
    metadata,
    _key(),
    _to("space"),
    _to("segment", index=True),
    Column("vector", LargeBinary, nullable=False),  # float16, little-endian, unit length
    Column("frames", LargeBinary),  # of a shot, each like the vector, one after the other; None: not kept
    UniqueConstraint("space_id", "segment_id"),
    sqlite_autoincrement=True,
)

removal = Table(
    "removal",
    metadata,
    _key(),
    _to("space"),
    Column(
        "segment_id", _Id, nullable=False
    ),  # below 0: that asset is still there, and filters may see it in another way (``note_altered``)
    sqlite_autoincrement=True,
)

unit = Table(
    "unit",
    metadata,
    _key(),
    _to("asset"),
    _to("space"),
    Column("state", String(16), nullable=False),  # pending, leased, done, failed, quarantined
    Column("attempts", Integer, nullable=False),
    Column("leased_until", BigInteger),
    Column("worker", String(64)),  # who has it leased
    Column("reason", String(32)),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("asset_id", "space_id"),
    Index("ix_unit_space_id_state", "space_id", "state"),
)

label = Table(
    "label",
    metadata,
    _key(),
    _to("asset"),
    _to("space"),
    Column("name", String(200), nullable=False),
    Column("score", Float, nullable=False),  # its probability among the vocabulary's labels
    UniqueConstraint("asset_id", "space_id", "name"),
    Index("ix_label_name", "name"),
)

ledger = Table(
    "ledger",
    metadata,
    _key(),
    _to("collection", nullable=True),
    _to("asset", nullable=True, index=True),
    _to("space", nullable=True),  # of whose work it speaks: a space's or a reader's; neither: of the file, before any
    _to("reader", nullable=True),
    Column("path", LargeBinary, nullable=False),
    Column("reason", String(32), nullable=False),
    Column("detail", Text, nullable=False),
    Column("start_ms", BigInteger),
    Column("end_ms", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_ledger_path", "path"),
)

job = Table(
    "job",
    metadata,
    _key(),
    Column("state", String(16), nullable=False, index=True),  # queued, running, done, failed, cancelled
    Column("kind", String(16), nullable=False, server_default="index"),  # index, retry, map
    Column("collection", String(200), nullable=False),  # of a retry: "" for all
    Column("paths", Text, nullable=False),  # absolute, as a JSON list; of a retry: none for all
    Column("reason", String(32)),  # of a retry: the only one to try again
    Column("retry", Boolean, nullable=False),
    Column("prune", Boolean, nullable=False),
    Column("progress", Text, nullable=False),  # what it reported last, as JSON
    Column("error", Text),
    Column("remedy", Text),
    Column("key", String(200), unique=True),  # of the request, so that asking twice makes one job
    Column("body", String(64), nullable=False),  # SHA-256 of what was asked for under that key
    Column("worker", String(64)),  # the service that runs it
    Column("leased_until", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    sqlite_autoincrement=True,
)


token = Table(
    "token",
    metadata,
    _key(),
    Column("name", String(200), nullable=False, unique=True),
    Column("role", String(16), nullable=False),  # reader, ingester, admin
    Column("digest", String(64), nullable=False, unique=True),  # SHA-256 of the secret, which is stored nowhere
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),  # None: never
    Column("collections", Text),  # that it is limited to, as a JSON list; None: none
)

judgement = Table(
    "judgement",
    metadata,
    _key(),
    Column("question", String(500), nullable=False),
    _to("asset", index=True),
    Column("is_right", Boolean, nullable=False),  # whether it answers the question
    Column("population", BigInteger),  # it was drawn at random from so many; None: it was not drawn
    Column("scope", String(16)),  # the filter that it was drawn under
    Column("judged_at", BigInteger, nullable=False),
    UniqueConstraint("question", "asset_id"),
    sqlite_autoincrement=True,
)

field = Table(  # own fields of assets, imported by people
    "field",
    metadata,
    _key(),
    _to("asset"),
    Column("name", String(100), nullable=False, index=True),
    Column("text", Text, nullable=False),  # the value as it was given
    Column("number", Float),  # the value where it is a number
    UniqueConstraint("asset_id", "name"),
)


saved = Table(  # questions that are saved under a name
    "saved",
    metadata,
    _key(),
    Column("name", String(200), nullable=False, unique=True),
    Column("form", Text, nullable=False),  # in the text form
    Column("saved_at", BigInteger, nullable=False),
    Column("seen_until", BigInteger, nullable=False),  # segments up to this number are not new to it
    Column("asked_at", BigInteger),  # when it was last asked for what is new
    Column(
        "false_alarms", Float
    ),  # of a standing question: the share of unrelated segments that may be told; None: it does not stand
    Column("webhook", Text),  # where it is told; None: nowhere
    Column("command", Text),  # the arguments of a program that is told, as a JSON list; None: none is
    Column("told_until", BigInteger),  # segments up to this number have been looked at
    Column("told", Text),  # later segments that have been told, as a JSON list; None: none
    Column("failure", Text),  # why it could not be told the last time; None: it could
    sqlite_autoincrement=True,
)

casefile = Table(
    "casefile",
    metadata,
    _key(),
    Column("name", String(200), nullable=False, unique=True),
    Column("note", Text, nullable=False),
    Column("version", BigInteger, nullable=False),  # grows with every change
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

exhibit = Table(
    "exhibit",
    metadata,
    _key(),
    _to("casefile", index=True),
    Column("position", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),  # of the medium, which may leave the archive and come back
    Column("name", String(500), nullable=False),  # as it was called then
    Column("start_ms", BigInteger),  # None: all of it
    Column("end_ms", BigInteger),
    Column("note", Text, nullable=False),
    Column("question", Text, nullable=False),  # that led to it
    Column("added_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)


def described(_: object, name: str | None, kind: str, *__: object) -> bool:
    """Whether a thing of the database is one that these tables describe: all but the index of words (Alembic's ``include_object``)."""
    return not (kind == "table" and name is not None and name.partition("_")[0] == WORDS)
