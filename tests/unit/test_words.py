"""Words: how queries are read, and what both indexes make of texts in many scripts."""

from __future__ import annotations

import json

import numpy as np
import pytest
import sqlalchemy as sa
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.delete import What, delete
from indexer.repair import repair
from indexer.run import RunRequest, index
from indexer.verify import verify
from search import wire
from search.errors import QueryError
from search.query import Engine, Term
from search.query.operators import parse
from search.store import Database
from search.store.database import alembic_config
from search.store.words import Reading, Sought, WordQuery, rebuild, text_index
from search.types import Filter, Modality

TEXTS = (
    "The river runs through the quiet harbour",
    "A quiet evening at the harbour, and no river",
    "Die Straße nach Müllheim",
    "ISTANBUL'da ılık bir akşam",
    "黒猫が東京タワーで寝ている",
    "我在北京吃饭",
    "กรุงเทพมหานคร",
    "שָׁלוֹם עוֹלָם",
    "مَرْحَبًا بالعالم",
    "cafe\u0301 noir",
    "party 🎉 tonight",
    "the burgomaster photographed the windmill",
)


@pytest.fixture
def database(database):
    write(database, TEXTS)
    return database


def write(database, texts, confidence=None):
    with database.writing() as connection:
        asset = connection.execute(
            sa.text("INSERT INTO asset (digest, size, created_at) VALUES (:d, 1, 1) RETURNING id"),
            {"d": repr(texts).encode()[:32]},
        ).scalar_one()
        rows = [{"a": asset, "o": at, "t": text, "c": confidence} for at, text in enumerate(texts)]
        insert = "INSERT INTO segment (asset_id, channel, ordinal, text, confidence) VALUES (:a, 'speech', :o, :t, :c)"
        connection.execute(sa.text(insert), rows)


def found(database, typed: str) -> list[str]:
    hits = text_index(database).search(parse(typed), 10)
    with database.reading() as connection:
        texts = {row.id: row.text for row in connection.execute(sa.text("SELECT id, text FROM segment"))}
    return [texts[id_] for id_, _ in hits]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("STRASSE", 2), ("muellheim müllheim", 2), ("mullheim", 2), ("istanbul", 3), ("ILIK", 3), ("東京", 4), ("猫", 4), ("北京", 5), ("饭", 5),
        ("กรุงเทพ", 6), ("שלום", 7), ("مرحبا", 8), ("CAFÉ", 9), ("🎉", 10), ("fotographed", 11), ("burg0master", 11), ("windrnill", 11),
        ("burgomastre", 11), ("'quiet harbour'", 0),
    ],
)  # fmt: skip
def test_words_are_found_however_they_are_written(database, typed, expected):
    assert found(database, typed)[0] == TEXTS[expected]


def test_phrases_must_occur_and_what_has_a_minus_must_not(database):
    assert found(database, '"quiet harbour" evening') == [TEXTS[0]]
    assert found(database, 'harbour -"quiet harbour"') == [TEXTS[1]]
    assert found(database, "harbour -evening") == [TEXTS[0]]
    assert found(database, '"harbour quiet"') == []
    assert found(database, '"京タ"') == [TEXTS[4]]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("walk", "She walked along the river"), ("walking", "She walked along the river"), ("studies", "a study of light"), ("Stadt", "die Städte am Rhein"),
        ("wifi", "the Wi-Fi is down"), ("wi-fi", "no wifi here"), ("AB1234", "frame AB-1234 of the roll"), ("cd-5678", "frame CD5678 of the roll"),
        ("X-ray", "an xray of the hand"), ("A003C017", "clip A003_C017"),
    ],
)  # fmt: skip
def test_other_forms_of_a_word_and_other_ways_to_write_it_are_found(database, typed, expected):
    write(database, (
        "She walked along the river", "a study of light", "die Städte am Rhein", "the Wi-Fi is down", "no wifi here", "frame AB-1234 of the roll",
        "frame CD5678 of the roll", "an xray of the hand", "clip A003_C017", "wall paper, walnut, students", "ab 99 1234",
    ))  # fmt: skip
    assert expected in found(database, typed)[:2]
    (marks,) = text_index(database).marks(parse(typed), [expected])
    assert marks
    assert all(expected[start:end].lower() not in ("the", "of", "an", "a") for start, end in marks)
    assert found(database, f'"{typed}"') == [one for one in found(database, f'"{typed}"') if one != expected or "-" in typed]


def test_the_word_itself_comes_before_its_other_forms(database):
    write(database, ("we walked here", "we walk here", "they walk there", "she walks here", "a walk-in"))
    ranked = found(database, "walk")
    assert {*ranked[:3]} == {"we walk here", "they walk there", "a walk-in"}
    assert {*ranked[3:5]} == {"we walked here", "she walks here"}


CUES = (
    (0, 1000, "Nobody had ever seen", "a.srt", "en"),
    (0, 1000, "Niemand hatte je so eine", "a.de.srt", "de"),
    (1000, 1500, "a copper", "a.srt", "en"),
    (1000, 1500, "kupferne", "a.de.srt", "de"),
    (1500, 3000, "lantern before. The bell", "a.srt", "en"),
    (1500, 3000, "Laterne gesehen", "a.de.srt", "de"),
    (9000, 9900, "tower was high", "a.srt", "en"),
    (9900, 11000, "我在东京", "a.srt", "en"),
    (11000, 12000, "都吃饭", "a.srt", "en"),
)


@pytest.mark.parametrize(
    ("typed", "expected", "marked"),
    [
        ('"ever seen a copper lantern"', [CUES[0][2]], ["ever", "seen"]),
        ('"copper lantern before"', ["a copper"], ["copper"]),
        ('"seen a"', [CUES[0][2]], ["seen"]),
        ('"so eine kupferne laterne"', [CUES[1][2]], ["so", "eine"]),
        ('"had ever" "seen a copper"', [CUES[0][2]], ["had", "ever", "seen"]),
        ('"东京都吃"', ["我在东京"], ["东京"]),
        ('"seen a copper" -lantern', [CUES[0][2]], ["seen"]),
        ('"seen a" -copper', [], []),
        ('"so eine copper"', [], []),
        ('"the bell tower"', [], []),
        ('"seen copper"', [], []),
        ('"a copper lantern was"', [], []),
    ],
)
def test_a_phrase_may_go_on_in_the_next_cue(database, typed, expected, marked):
    with database.writing() as connection:
        asset = connection.execute(
            sa.text("INSERT INTO asset (digest, size, created_at) VALUES (:d, 1, 1) RETURNING id"), {"d": b"film"}
        )
        asset_id = asset.scalar_one()
        rows = [
            {"a": asset_id, "o": at, "s": start, "e": end, "t": text, "w": source, "l": language}
            for at, (start, end, text, source, language) in enumerate(CUES)
        ]
        connection.execute(
            sa.text(
                'INSERT INTO segment (asset_id, channel, ordinal, unit, start, "end", text, reader_id, source, language)'
                " VALUES (:a, 'speech', :o, 'ms', :s, :e, :t, 1, :w, :l)"
            ),
            rows,
        )
    assert found(database, typed) == expected
    if expected:
        (marks,) = text_index(database).marks(parse(typed), expected)
        assert [expected[0][start:end] for start, end in marks] == marked


def test_more_and_rarer_words_come_first_and_forgiven_ones_last(database):
    assert found(database, "evening harbour")[0] == TEXTS[1]
    write(database, ["a windmili by the sea"])
    assert found(database, "windmill") == [TEXTS[11], "a windmili by the sea"]


def test_a_forgiven_word_counts_as_much_as_its_reader_was_sure(database):
    write(database, ["an orchestra plays"], 0.9)
    write(database, ["an orchestra played"], 0.2)
    assert found(database, "orchestrr") == ["an orchestra plays", "an orchestra played"]


def test_words_that_come_and_go_are_known_at_the_next_question(database):
    index = text_index(database)

    def hits(typed):
        return [id_ for id_, _ in index.search(parse(typed), 10)]

    assert hits("zepelin") == []
    write(database, ["the zeppelin landed"])
    (found,) = hits("zepelin")
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM segment WHERE id = :id"), {"id": found})
    assert hits("zepelin") == []
    assert len(hits("windrnill")) == 1
    with database.writing() as connection:
        rebuild(connection)
    write(database, ["another zeppelin"])
    assert len(hits("zepelin")) == 1


@pytest.mark.parametrize(
    "typed", ["", "   ", '""', '"', "-", "AND", "a NEAR(b)", "col:x* ^(", "'); DROP TABLE words --", "word " * 10_000]
)
def test_what_a_database_takes_for_syntax_is_plain_text(database, typed):
    text_index(database).search(parse(typed), 10)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.text() | st.lists(st.sampled_from(['"', "-", "a", "猫", "*", "(", " ", "AND", "\0", "'", "\\", ":", "é"])).map("".join))
def test_nothing_that_is_typed_fails(database, typed):
    try:
        words = parse(typed)
    except QueryError:
        return
    index = text_index(database)
    index.search(words, 10)
    for start, end in index.marks(words, [typed])[0]:
        assert 0 <= start < end <= len(typed)


@pytest.mark.parametrize(
    ("typed", "text", "marked"),
    [
        ("harbour", "The HARBOUR, a harbour", ["HARBOUR", "harbour"]),
        ("strasse", "die Straße", ["Straße"]),
        ("cafe", "un cafe\u0301!", ["cafe\u0301"]),
        ("東京", "私は東京へ", ["東京"]),
        ('"quiet harbour"', "quiet: the quiet harbour", ["quiet", "harbour"]),
        ("שלום", "שָׁלוֹם", ["שָׁלוֹם"]),
        ("windrnill", "a windmill", ["windmill"]),
    ],
)
def test_marks_are_ranges_of_the_original_text(database, typed, text, marked):
    assert [text[start:end] for start, end in text_index(database).marks(parse(typed), [text])[0]] == marked


def test_what_is_changed_or_deleted_is_found_no_more(database):
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE segment SET text = 'nothing else' WHERE text LIKE 'Die%'"))
        connection.execute(sa.text("DELETE FROM segment WHERE text LIKE 'party%'"))
    assert found(database, "strasse") == found(database, "tonight") == []
    with database.reading() as connection:
        terms = set(connection.execute(sa.text("SELECT term FROM word")).scalars())
    assert not terms & {"strasse", "tonight"}
    assert {"nothing", "harbour"} <= terms


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("a dog", WordQuery("a dog", (), (), ("a", "dog"))),
        ('"a dog" barks -cat -"big cat"', WordQuery("a dog barks", ("a dog",), ("cat", "big cat"), ("barks",))),
        ("well-known - 5", WordQuery("well-known - 5", (), (), ("well-known", "-", "5"))),
        ('say "what', WordQuery('say "what', (), (), ("say", '"what'))),
        ("„guten Tag“", WordQuery("guten Tag", ("guten Tag",), (), ())),
    ],
)
def test_queries_are_read_as_people_mean_them(typed, expected):
    assert parse(typed) == expected


def test_a_query_that_only_excludes_is_refused():
    with pytest.raises(QueryError, match="looks for nothing"):
        parse("-dog")


def test_an_archive_of_the_revision_before_gets_its_index_and_keeps_its_vectors(tmp_path):
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    with database.engine.execution_options(sensorium_write=True).begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(sa.text("INSERT INTO asset (id, digest, size, created_at) VALUES (1, x'00', 1, 1)"))
        connection.execute(
            sa.text("INSERT INTO segment (id, asset_id, channel, ordinal, text) VALUES (1, 1, 'text', 0, 'old words')")
        )
        space = "INSERT INTO space (id, name, family, model, revision, dim, accepts, created_at) VALUES (1, 's', 'f', 'm', '1', 2, 'text', 1)"
        connection.execute(sa.text(space))
        vector = np.ones(2, np.float16).tobytes()
        connection.execute(sa.text("INSERT INTO embedding (space_id, segment_id, vector) VALUES (1, 1, :v)"), {"v": vector})
    database.upgrade()
    assert found(database, "OLD") == ["old words"]
    with database.reading() as connection:
        assert connection.execute(sa.text("SELECT vector FROM embedding")).scalar_one() == vector
    database.close()


def test_words_are_counted_when_a_transaction_ends(database):
    before = counts(database)

    def give_up():
        with database.writing() as connection:
            connection.execute(sa.text("DELETE FROM segment"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        give_up()
    assert counts(database) == before
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE segment SET text = 'the harbour, the harbour' WHERE text LIKE 'A quiet%'"))
        connection.execute(sa.text("DELETE FROM segment WHERE text LIKE 'The river%' OR text LIKE 'the harbour%'"))
        connection.execute(sa.text("UPDATE segment SET text = 'a sphinx' WHERE text LIKE 'party%'"))
    after = counts(database)
    assert {"harbour", "river", "quiet", "tonight"} <= set(before) - set(after)
    assert after["sphinx"] == (1, "sfnx")
    assert after["the"] == (before["the"][0] - 2, before["the"][1])
    with database.writing() as connection:
        rebuild(connection)
    assert counts(database) == after


def counts(database) -> dict[str, tuple[int, str]]:
    """The segments that hold each word, and how it sounds."""
    with database.reading() as connection:
        return {row.term: (row.count, row.sound) for row in connection.execute(sa.text("SELECT * FROM word"))}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_counts_survive_the_next_revision_and_the_way_back(kind, tmp_path, request):
    url = f"sqlite:///{tmp_path / 'old.db'}" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)

    def go(direction, revision):
        with database.engine.execution_options(sensorium_write=True).begin() as connection:
            config = alembic_config()
            config.attributes["connection"] = connection
            direction(config, revision)

    go(command.upgrade, "0007")
    write(database, TEXTS)
    before = counts(database)
    database.upgrade()
    assert counts(database) == before
    write(database, ["a quiet harbour"])
    after = before | {word: (before[word][0] + 1, before[word][1]) for word in ("a", "quiet", "harbour")}
    assert counts(database) == after
    go(command.downgrade, "0007")
    assert counts(database) == after
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM segment WHERE text = 'a quiet harbour'"))
    assert counts(database) == before
    assert found(database, '"quiet harbour"') == [TEXTS[0]]
    database.close()


@pytest.fixture
def engine(settings, archive, encoder):
    (archive / "texts" / "quote.txt").write_text("The zeppelin landed beside the lighthouse at noon.\n")
    index(settings, RunRequest([archive]), encoder=encoder)
    with Engine(settings, encoder=encoder) as engine:
        yield engine


def ask(engine, typed, **options):
    return engine.search(Term(typed, Modality.TEXT), **options).hits


def test_a_quotation_comes_first_with_its_words_marked(engine):
    first = ask(engine, "zeppelin landed beside the lighthouse")[0]
    assert first.segment.path.endswith("quote.txt")
    text = first.segment.text
    assert [text[start:end] for start, end in first.marks] == ["zeppelin", "landed", "beside", "lighthouse"]
    assert wire.hit(first)["evidence"]["marks"][1] == list(first.marks[1])


def test_a_phrase_leaves_only_texts_that_hold_it_and_a_minus_none_that_do(engine):
    (hit,) = ask(engine, '"red flowers"')
    assert hit.segment.path.endswith("flowers.txt")
    left = [one.segment.path for one in ask(engine, "red -flowers", k=20)]
    assert any(path.endswith("red.png") for path in left)
    assert not any(path.endswith("flowers.txt") for path in left)


def test_a_phrase_that_nothing_holds_finds_nothing(engine):
    assert ask(engine, '"flowers red"') == ()


def test_what_is_ranked_is_what_is_searched_by_asset(engine):
    for typed, options in {
        "red flowers": {}, "red -flowers": {}, '"red flowers" garden': {}, "a lighthouse": {"words": True}, "high -zeppelin": {}, '"flowers red"': {},
    }.items():  # fmt: skip
        for wanted in (Filter(), Filter(modalities=(Modality.TEXT,)), Filter(modalities=(Modality.IMAGE, Modality.AUDIO))):
            searched = [hit.segment.asset for hit in ask(engine, typed, k=50, group="asset", wanted=wanted, **options)]
            assert engine.rank(Term(typed, Modality.TEXT), wanted, k=50, **options).tolist() == searched


def test_what_words_say_is_the_chance_to_hold_as_many_of_them():
    texts = 1_000
    words = [(Reading((f"w{at}",), 1.0, count),) for at, count in enumerate((10, 20, 40, 80, 160, 320))]
    sought = Sought(tuple(words), (), (), texts, texts)
    held = np.random.default_rng(0).random((200_000, len(words))) < np.array([part[0].count for part in words]) / texts
    gains = np.array([sought.information(part[0].count) for part in words])
    gathered = held @ gains
    whole = gains.sum()
    every = np.array([*np.linspace(0.5, whole, 40), whole + 2])
    nats = sought.nats(every)
    assert (np.diff(nats) >= 0).all()
    assert nats[-2:] == pytest.approx([whole, whole + 2], abs=0.1)
    chances = np.array([np.mean(gathered >= one) for one in every])
    seen = chances > 1e-3
    assert (np.exp(-nats[seen]) >= chances[seen]).all()  # a bound
    assert (np.exp(-nats[seen]) < 12 * chances[seen]).all()
    assert (every[10:20] - nats[10:20]).min() > 1  # the sum itself claims too much


def test_where_nothing_can_be_read_no_words_are_looked_for(engine, monkeypatch):
    monkeypatch.setattr(engine.words, "search", lambda *_, **__: pytest.fail("the index of words was asked"))
    pictures = Filter(modalities=(Modality.IMAGE,))
    assert ask(engine, "red flowers", wanted=pictures, k=1)[0].segment.path.endswith("red.png")
    assert ask(engine, '"red flowers"', wanted=pictures) == ()


def test_meaning_alone_takes_no_notice_of_what_words_say(engine):
    asked = Term("red -flowers", Modality.TEXT)
    alone = engine.rank(asked, k=50, words=False).tolist()
    flowers = next(hit.segment.asset for hit in ask(engine, '"red flowers"'))
    assert flowers in alone
    assert flowers not in engine.rank(asked, k=50).tolist()


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("the qiuet harbour", "the quiet harbour"),
        ("The Photografed  windmill!", "The photographed  windmill!"),
        ("a horse", "a horse"),  # near to nothing
        ("the rvier", "the rvier"),  # may be another word
        ("the qiuet windmill", "the qiuet windmill"),  # no text has both
        ("pharty", "pharty"),  # known elsewhere
        ("AB1234 harbour", "AB1234 harbour"),
        ("窓", "窓"),
        ("", ""),
    ],
)
def test_misspelt_words_are_put_right_by_those_of_the_archive(database, typed, read):
    assert text_index(database).spelt(typed, known=lambda word: word in {"the", "pharty", "horse"}) == read


def test_words_alone_find_what_they_say_and_nothing_else(engine):
    (hit,) = ask(engine, "zepelin", words=True)
    assert (hit.space, hit.cosine) == ("", 0.0)
    assert ask(engine, "zeppelin", words=True, wanted=Filter(modalities=(Modality.IMAGE,))) == ()


def test_a_moment_begins_when_the_first_word_is_said(engine, settings):
    with Database(settings.database).writing() as connection:
        detail = json.dumps({"words": [[0, 3, 100, 200, 0.9], [4, 12, 250, 700, 0.8]], "box": None, "translated": True})
        values = {"d": detail, "u": "ms"}
        connection.execute(
            sa.text("UPDATE segment SET detail = :d, unit = :u, start = 50, \"end\" = 900 WHERE text LIKE 'The zeppelin%'"),
            values,
        )
    (hit,) = ask(engine, '"zeppelin"')
    assert hit.starts_ms == 250
    assert wire.hit(hit)["evidence"]["translated"]


def test_a_damaged_index_of_words_is_noticed_and_filled_again(engine, settings):
    database = Database(settings.database)
    with database.writing() as connection:
        connection.execute(sa.text("DELETE FROM word WHERE term = 'zeppelin'"))
        connection.execute(sa.text("INSERT INTO words (words) VALUES ('delete-all')"))
    database.close()
    wrong = {check.name for check in verify(settings) if not check.ok}
    assert wrong == {"the index of words holds what texts say", "every word is counted in the segments that hold it"}
    assert all(check.ok for check in repair(settings)[1])


def test_of_a_deleted_text_no_word_stays_in_any_file(engine, settings, archive):
    delete(settings, What(paths=[archive / "texts" / "quote.txt"]))
    files = [path for path in settings.home.rglob("*") if path.is_file()]
    assert [path.name for path in files if b"eppelin" in path.read_bytes() or b"ighthouse" in path.read_bytes()] == []
