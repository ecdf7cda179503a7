"""What crosses the line: the JSON of requests and answers, with examples for the documentation."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from search.planning.skills import Skill
from search.types import BrowseOrder, Channel, Credentials, DateSource, Grouping, Modality, Origin, Shape, Sort

Id = Annotated[int, Field(ge=1, le=2**63 - 1, description="A number that an answer gave.")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
Inline = Annotated[str, StringConstraints(min_length=1)]
Milliseconds = Annotated[int, Field(ge=0, le=2**53)]
Bytes = Annotated[int, Field(ge=0, le=2**53)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
UploadId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Field(description="The id of an upload.")]

CONTENTS = ("text", "image", "audio", "video", "upload", "segment")


BASE = "/v1"
"""Where the API is mounted."""


class Wire(BaseModel):
    """Base of everything that crosses the line: unknown fields are refused, so that a misspelt one is noticed."""

    model_config = ConfigDict(extra="forbid")


class Part(Wire):
    """A part of a picture, in percent of its width and height."""

    left: Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)]
    top: Annotated[float, Field(ge=0, lt=100, allow_inf_nan=False)]
    width: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    height: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]

    @property
    def sides(self) -> tuple[float, float, float, float]:
        """Left, top, width and height."""
        return self.left, self.top, self.width, self.height

    @model_validator(mode="after")
    def _inside(self) -> Self:
        if max(self.left + self.width, self.top + self.height) > 100.001:
            raise ValueError("the box leads out of the picture: left and width, and top and height, make 100 together at most")
        return self


class Term(Wire):
    """One thing to look for: exactly one of the contents, and what it weighs. A negative weight subtracts."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")] | None = None
    image: Inline | None = Field(default=None, description="A picture: base64, or a data: URL.")
    audio: Inline | None = Field(default=None, description="A sound: base64, or a data: URL.")
    video: Inline | None = Field(default=None, description="A video: base64, or a data: URL.")
    upload: UploadId | None = None
    segment: Id | None = Field(default=None, description="A segment of the archive: more like this.")
    box: Part | None = Field(
        default=None, description="Only this part of the picture: of an image, of an upload, or of what a segment shows."
    )
    weight: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 1.0

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in CONTENTS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"a term has exactly one of {', '.join(CONTENTS)}; this one has {len(given)}")
        if self.box and given[0] not in ("image", "upload", "segment"):
            raise ValueError("a box is a part of an image, an upload or a segment")
        return self


class FieldIs(Wire):
    """An own field and its value."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00]*$")]
    value: Words = Field(
        description="A text, in any case, or a range of numbers: `1..10`, `1..` or `..10`.", examples=["Canon R5", "100..800"]
    )


class Where(Wire):
    """What of the archive may be found. What is absent does not restrict."""

    collections: Annotated[list[Words], Field(max_length=100)] = []
    under: Words | None = Field(
        default=None, description="A folder, relative to the root of its collection.", examples=["2024/harbour"]
    )
    since: datetime.date | None = Field(
        default=None, description="Taken, or else changed, on this day or later. A partial date counts wherever it may lie."
    )
    until: datetime.date | None = None
    dated_by: Annotated[list[DateSource], Field(max_length=20)] = Field(
        default=[], description="Where the date has to come from; `file`: from nothing but the copy's own time."
    )
    shortest_ms: Milliseconds | None = None
    longest_ms: Milliseconds | None = None
    tags: Annotated[list[Words], Field(max_length=100)] = Field(
        default=[], description="Labels of `sensorium tag`; one is enough."
    )
    tracks: Annotated[list[Words], Field(max_length=20)] = Field(
        default=[],
        description="Sound tracks, by language, number or words of their titles; one is enough. Finds sound and speech alone.",
    )
    origins: Annotated[list[Origin], Field(max_length=10)] = Field(
        default=[], description="How a file came about, as it states itself; one is enough. What states none is left out."
    )
    cameras: Annotated[list[Words], Field(max_length=20)] = Field(
        default=[], description="Parts of the maker and model of what made the file; one is enough.", examples=[["Canon"]]
    )
    rights: Annotated[list[Words], Field(max_length=20)] = Field(
        default=[], description="Parts of its copyright notice or licence; one is enough.", examples=[["CC BY"]]
    )
    places: Annotated[list[Annotated[str, StringConstraints(max_length=100)]], Field(max_length=20)] = Field(
        default=[],
        description=(
            "Where the file was made: latitude, longitude and kilometres, or the southern, western, northern and eastern edge in degrees; one is"
            " enough. Only in collections of the setting `show_positions`."
        ),
        examples=[["59.33,18.07,5", "59,18,60,19"]],
    )
    things: Annotated[list[Words], Field(max_length=20)] = Field(
        default=[],
        description="What detectors found or people labelled in a picture, and how it lies there; every one must fit. What a detector missed is not found.",
        examples=[["3.. person", "dog left of car"]],
    )
    after_segment: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = Field(
        default=None, description="Only segments with a larger number: what came later."
    )
    smallest_bytes: Bytes | None = Field(default=None, description="The size of the file.")
    largest_bytes: Bytes | None = None
    fewest_pixels: Bytes | None = Field(default=None, description="Width times height. What has neither is not found.")
    most_pixels: Bytes | None = None
    shapes: Annotated[list[Shape], Field(max_length=3)] = Field(
        default=[], description="How pictures lie, as they are displayed."
    )
    languages: Annotated[list[Words], Field(max_length=100)] = Field(
        default=[], description="Of what a reader read, ISO 639-1; one is enough. Finds only what was read."
    )
    least_confidence: Share | None = Field(default=None, description="How sure its reader was. Finds only what was read.")
    most_confidence: Share | None = None
    speech: bool | None = Field(default=None, description="Whether the file has speech that was read.")
    fields: Annotated[list[FieldIs], Field(max_length=50)] = Field(
        default=[], description="Own fields. Every field that is named must fit, by one of the values given for it."
    )


class FieldValue(Wire):
    """A value of an own field for a file; empty: none."""

    asset: Id
    value: Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")] = Field(examples=["relevant"])


class FieldValues(Wire):
    """Values of an own field."""

    values: Annotated[list[FieldValue], Field(min_length=1, max_length=1_000)]


class Narrowed(Wire):
    """A request that is about a part of the archive."""

    targets: list[Modality] = Field(default=[], max_length=8, description="Media to find; none: all.")
    channels: list[Channel] = Field(default=[], max_length=8, description="Channels to search; none: all.")
    filter: Where = Where()  # pydantic copies it


class Preferred(Wire):
    """Somebody said that a hit is nearer to what is sought than what else was shown, or that it is not."""

    segment: Id
    nearer: bool = True


class SearchRequest(Narrowed):
    """A search."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"query": [{"text": "boats at sunset"}], "targets": ["image", "video"], "k": 12},
                {"query": [{"text": "a horse"}, {"text": "people", "weight": -0.5}], "filter": {"collections": ["default"]}},
                {"query": [{"text": '"fire engine" -ladder'}], "words": True},
                {"query": [{"segment": 17}], "group": "asset"},
                {"form": 'siren ~30s> crowd -"police car" in:video since:2024-05'},
            ]
        },
    )

    query: Annotated[list[Term], Field(max_length=16)] = Field(
        default=[], description="Terms that are added up; at least one, unless there is a `form`."
    )
    form: Annotated[str, StringConstraints(min_length=1, max_length=4_000)] | None = Field(
        default=None,
        description="The question in its text form, in the place of `query`: patterns, exclusions and filters in one line.",
        examples=['siren ~30s> crowd -"police car" in:video'],
    )
    spaces: list[Annotated[str, StringConstraints(max_length=200)]] = Field(
        default=[], max_length=16, description="Spaces to search, fused; `all`: every one; none: the default."
    )
    spoken: bool = Field(
        default=False,
        description="The one sound of the query is a spoken question: what is said is searched too. Needs a reader of speech.",
    )
    rerank: bool = Field(
        default=False, description="Put the best shots of videos into the order that X-CLIP finds; for a single text."
    )
    words: bool = Field(
        default=False, description="Search texts by their words alone, not by meaning; for a single text. Without it, by both."
    )
    diverse: bool = Field(
        default=False, description="Put the best 200 hits into an order in which like ones do not stand together."
    )
    preferences: Annotated[list[Preferred], Field(max_length=32)] = Field(
        default=[],
        description="Hits that are nearer to what is sought, or farther from it, in the order in which somebody said so: what is found is ranked anew.",
    )
    fold: bool = Field(
        default=False,
        description="Put pictures and shots of other files that show the same as a better hit behind it, as `others` of its evidence.",
    )
    imagined: Annotated[list[UploadId], Field(max_length=5)] = Field(
        default=[],
        description="Pictures that were imagined of the single text that is asked (`POST /v1/imaginings`), or other pictures of what it means. Files are ranked by the mean of two probabilities: that of the words, and that of the pictures.",
    )
    region: bool = Field(
        default=False,
        description="Search for parts of pictures, and say where they are. Needs the reader `regions`; by meaning alone.",
    )
    group: Grouping = "moment"
    sort: Sort = Field(
        default="match", description="The order of the best 1,000 hits: best, newest or longest first, or by the file's name."
    )
    k: Annotated[int, Field(ge=1, le=200)] = 20
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        default=None, description="What an answer to this same query gave, for the hits after its last."
    )

    @model_validator(mode="after")
    def _asks(self) -> Self:
        if bool(self.query) == (self.form is not None):
            raise ValueError("a search has either terms in query, or a form")
        return self

    @model_validator(mode="after")
    def _imagined_of_a_text(self) -> Self:
        given = [
            name
            for name in ("spoken", "rerank", "words", "region", "diverse", "fold", "preferences", "cursor")
            if getattr(self, name)
        ]
        one = len(self.query) == 1 and self.query[0].text is not None and self.query[0].weight > 0
        if self.imagined and (given or not one or self.sort != "match"):
            raise ValueError(f"imagined goes with one text{f', and not with {given[0]}' if given else ''}")
        return self

    @model_validator(mode="after")
    def _region_alone(self) -> Self:
        given = (
            [name for name in ("spoken", "rerank", "words") if getattr(self, name)]
            + ["sort"] * (self.sort != "match")
            + ["diverse"] * self.diverse
            + ["fold"] * self.fold
            + ["preferences"] * bool(self.preferences)
        )
        if self.region and given:
            raise ValueError(f"a search by region does not go with {given[0]}")
        return self


class PlanStep(Wire):
    """A step of a plan. Steps of one part are different ways to find the same part of the question."""

    skill: Skill
    form: Annotated[str, StringConstraints(max_length=4_000)] = Field(
        description="The step's question in the text form; of `ask` the question to a model, of `translate` the language."
    )
    useful: Share = 0.9
    part: Annotated[int, Field(ge=0, le=49)] = 0


class PlanRequest(Narrowed):
    """A question that is to be broken into searches."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"question": "a siren, then a crowd without a police car", "k": 10}]}
    )

    question: Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=r"\S")]
    steps: Annotated[list[PlanStep], Field(min_length=1, max_length=50)] | None = Field(
        default=None,
        description="Taken in the place of those that the grammar of the question gives, such as those of an earlier plan, edited.",
    )
    together: bool = Field(
        default=True, description="Of `steps`: one file must answer all parts; else each part has files of its own."
    )
    skip: Annotated[list[Annotated[int, Field(ge=1, le=50)]], Field(max_length=50)] = Field(
        default=[], description="Numbers of steps, from 1, that are not taken."
    )
    dry: bool = Field(default=False, description="Only tell the steps, and take none.")
    k: Annotated[int, Field(ge=1, le=200)] = 10


class EmbeddingInput(Wire):
    """Something to embed: exactly one of these."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")] | None = None
    image: Inline | None = Field(default=None, description="A picture: base64, or a data: URL.")
    audio: Inline | None = Field(default=None, description="A sound: base64, or a data: URL.")
    video: Inline | None = Field(default=None, description="A video: base64, or a data: URL.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in ("text", "image", "audio", "video") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"an input has exactly one of text, image, audio, video; this one has {len(given)}")
        return self


EmbeddingText = Annotated[str, StringConstraints(min_length=1, max_length=20_000, pattern=r"\S")]


class EmbeddingRequest(Wire):
    """What OpenAI's client sends, and inputs that are not text."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"model": "pocket", "input": "a dog"}, {"input": ["a dog", "a cat"], "encoding_format": "base64"}]
        },
    )

    input: EmbeddingText | Annotated[list[EmbeddingText | EmbeddingInput], Field(min_length=1, max_length=64)]
    model: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="The name of a space; empty: the default one."
    )
    encoding_format: Literal["float", "base64"] = Field(default="float", description="base64: of little-endian float32.")
    dimensions: Annotated[int, Field(ge=1, le=100_000)] | None = Field(default=None, description="The space's own, or an error.")
    user: Annotated[str, StringConstraints(max_length=1_000)] | None = Field(default=None, description="Is not used.")


class Embedded(Wire):
    """A vector of unit length, as numbers or in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Wire):
    """Always 0: nothing is counted."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class Embeddings(Wire):
    """Vectors in the order of the inputs. ``model`` is the space."""

    object: Literal["list"] = "list"
    data: list[Embedded]
    model: str
    usage: EmbeddingUsage = EmbeddingUsage()


class FacetsRequest(Narrowed):
    """A wish for the facets of what passes a filter."""

    facets: Annotated[list[Words], Field(max_length=100)] = Field(
        default=[],
        description="Their names; none: all that some file has a value of. Own fields are `field.NAME`.",
        examples=[["date", "tag"]],
    )
    space: Annotated[str, StringConstraints(max_length=200)] = Field(
        default="", description="Files are counted that this space holds something of; none: the default."
    )


class BrowseRequest(Narrowed):
    """A wish for the files that pass a filter, page by page."""

    order: BrowseOrder = Field(default="added", description="What came last, is newest, longest or largest first.")
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str, StringConstraints(max_length=100)] | None = Field(
        default=None, description="What the page before answered."
    )


class FacetValue(Wire):
    """A value and the number of files that have it. Ranges are `low..high`: seconds, megabytes, millions of pixels."""

    value: str
    files: int


class Facet(Wire):
    """A property of files, and its values."""

    name: str
    values: list[FacetValue]
    more: int = Field(description="Further values, which few files have, that are left out.")


class Facets(Wire):
    """How many files and segments pass a filter, and their facets."""

    files: int
    segments: int
    facets: list[Facet]


class ContrastRequest(Wire):
    """Two parts of the archive to compare."""

    these: Narrowed
    those: Narrowed
    most: Annotated[int, Field(ge=1, le=200)] = Field(default=20, description="Differences of each sort, for either side.")


class Difference(Wire):
    """A tag or a word, and how many files have it on both sides."""

    value: str
    these: int
    those: int
    deviations: float = Field(
        description="The difference of log-odds in standard deviations: above 0 it sets these apart, below 0 those."
    )


class PictureApart(Wire):
    """A picture or a shot that tells one side from the other."""

    segment: Id
    asset: Id
    name: str


class Contrast(Wire):
    """What sets these files apart from those."""

    these: int = Field(description="How many files they are.")
    those: int
    tags: list[Difference]
    words: list[Difference] = Field(description="Of what was read or written in the files.")
    limited: bool = Field(description="Not everything was read for the words, as it is too much.")
    these_pictures: list[PictureApart] = Field(description="Pictures of these that are nearest to the difference of means.")
    those_pictures: list[PictureApart]


MAP_SIZE = 10_000
"""The length of a map across and down."""


class MapArea(Wire):
    """A part of a map: what its files have more often than others, its middle, and how many they are."""

    names: list[str]
    x: int
    y: int
    files: int


class ArchiveMap(Wire):
    """A map of the archive. `assets`, `segments`, `media`, `x`, `y` and `areas` have an entry for each file on it; places are from 0 to 10,000."""

    space: str
    made_at: datetime.datetime
    files: int = Field(description="How many files could be on it; those that came since it was made are not.")
    assets: list[int]
    segments: list[int] = Field(description="A segment of each file.")
    media: list[Modality]
    x: list[int]
    y: list[int]
    areas: list[int] = Field(description="Positions in `named`.")
    named: list[MapArea]


class Span(Wire):
    """A half-open stretch of time, in milliseconds."""

    start_ms: int
    end_ms: int


class Characters(Wire):
    """A half-open stretch of a text, in characters."""

    start: int
    end: int


class Links(Wire):
    """Where to get what can be seen and heard. Absent: there is none, as there is no thumbnail of a text."""

    media: str
    moment: str = Field(
        description="The media, with the moment as a media fragment. Its times count on the clock of the file, as Chromium plays it: a piece"
        " of a recording may begin at one hour. Firefox always counts from 0.",
        examples=["/v1/assets/7/media#t=12.5,18"],
    )
    thumbnail: str | None = None
    preview: str | None = None


class Date(Wire):
    """The days, first and last, on which something may have been taken; another one where the date is partial or its zone unknown."""

    first: datetime.date
    last: datetime.date
    written: str | None = Field(default=None, description="As it is written, in local time where the zone is known.")
    source: DateSource | None = None


class Stamp(Wire):
    """A date as it is written somewhere: ISO 8601, perhaps partial, `Z` for UTC without a zone."""

    source: DateSource
    text: str


class AssetRef(Wire):
    """An asset as hits and lists show it. ``folder`` is relative to the collection's root."""

    id: int
    sha256: str = Field(description="Of its bytes: its identity, wherever it lies.")
    modality: Modality
    name: str
    folder: str
    collection: str
    path: str | None = Field(default=None, description="Only where the collection is configured to show it.")
    format: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    missing: bool = False
    away: bool = Field(default=False, description="Its folder or file system is not there at the moment.")
    date: Date | None = Field(default=None, description="When it was taken; null where nothing tells.")


class Read(Wire):
    """What a text says, in what language, and who read it or where it stood."""

    text: str | None = None
    source: str | None = Field(default=None, description="Who read the text, or where it stood.")
    language: str | None = Field(default=None, description="ISO 639-1.")
    confidence: float | None = Field(default=None, description="How sure the reader was, 0 to 1.")
    translated: bool = Field(default=False, description="Whether a model translated it, into this language.")
    track: str | None = Field(
        default=None, description="The sound track and channel that it was heard in; null: all that the first track holds."
    )


class Evidence(Read):
    """Why it was found: the raw similarity, the segments that were merged, and of a text what it says and where the words stand in it."""

    cosine: float = Field(description="0 where words alone found it.")
    segments: list[int]
    starts_ms: int | None = Field(
        default=None, description="When the first word that was asked for is said, or else the moment begins."
    )
    marks: list[tuple[int, int]] = Field(
        default=[], description="Where the words that were asked for stand in the text: characters, half-open."
    )
    characters: Characters | None = None
    others: list[int] = Field(
        default=[],
        description="Segments of the other photographs of a burst, and of the film behind a photograph, that answer too, best first: this hit stands for them.",
    )


class StepFound(Wire):
    """Where a step of a pattern was found."""

    segment: int
    channel: Channel
    span: Span
    chance: float = Field(description="The probability that it is what was asked for, 0 to 1.")


class Box(Wire):
    """A part of a picture, in percent of its width and height, and as a fragment of W3C Media Fragments."""

    left: float
    top: float
    width: float
    height: float
    fragment: str = Field(examples=["xywh=percent:11.5,4,33.33,33.33"])


class Hit(Wire):
    """A moment that was found. ``score`` is in log-odds, and compares across media."""

    rank: int
    score: float
    confidence: float | None = Field(
        description="The calibrated probability that the hit is right, 0 to 1; null where nothing is known of such questions."
    )
    channel: Channel
    space: str = Field(description="Empty where words alone found it.")
    asset: AssetRef
    span: Span | None
    stretch: Span | None = Field(default=None, description="Where more around it is as good: the span is its best part.")
    segment: int
    judged: bool | None = Field(
        default=None, description="Whether people said that its file answers the question; null: nobody did."
    )
    evidence: Evidence
    steps: list[StepFound] = Field(
        default=[], description="Where the steps of a pattern were found: the span is from the first to the last."
    )
    links: Links
    box: Box | None = Field(
        default=None,
        description="The part of the picture, or of the frame at `evidence.starts_ms`, that answers; null: all of it.",
    )


class Coverage(Wire):
    """How much of what was searched, or of a collection, can be seen: its files, each in one of the next three counts, and what is missing of them."""

    files: int
    seen: int
    waiting: int
    failed: int
    unsampled_ms: int = Field(description="Length of sound and video that could not be decoded.")
    without: dict[str, int] = Field(description="Files without their `sound` or `picture`.")
    away: int = Field(default=0, description="Files among them whose folder or file system is not there.")
    unread: dict[str, int] = Field(default={}, description="Media and documents besides in formats without a reader, by suffix.")


class Verdict(Wire):
    """Whether what was asked for is in the archive."""

    verdict: Literal["yes", "unsure", "no"]
    probability: float = Field(description="How likely it is here, 0 to 1, were it here as often as not.")
    line: float = Field(
        description="The probability from which on the verdict is yes: at most 5 % of questions whose answer is not here reach it."
    )
    questions: int = Field(description="How many such questions the line rests on; 0: a rule about words, not a measurement.")


class Estimate(Wire):
    """How many files are right: the expected number, and the bounds between which it lies in 95 of 100 cases."""

    expected: float
    low: float
    high: float
    at_least: float | None = Field(
        description="Chapman's estimate from two channels that find on their own; null where there are no two."
    )


class Review(Wire):
    """What people said of a question's files, and what follows from a random sample among them."""

    judged: int
    right: int
    sampled: int = Field(default=0, description="Files among them that were drawn at random.")
    population: int | None = Field(default=None, description="How many files the first of them was drawn from.")
    left_at_most: int | None = Field(
        default=None,
        description="Right files that nobody has judged: no more than this in 95 of 100 cases. Null: nothing was drawn.",
    )
    recall_at_least: float | None = Field(
        default=None, description="The share of the right files that is known, in 95 of 100 cases."
    )


class Found(Wire):
    """The answer to a search. ``searched`` counts the segments that the filter let through."""

    hits: list[Hit]
    cursor: str | None = Field(description="For the next page; null after the last.")
    limit: int | None = Field(
        default=None,
        description="The list ends after so many hits because of a maximum, not because nothing follows; null otherwise.",
    )
    generation: int
    searched: int
    coverage: Coverage
    timings_ms: dict[str, float]
    heard: str | None = Field(default=None, description="What was said in a spoken question.")
    notes: list[str] = Field(
        default=[],
        description="How a misspelt question was read, and what of a question was not asked, such as most of a long video.",
    )
    found: Verdict | None = Field(
        default=None, description="Whether what was asked for is here; null: nothing is known of such questions."
    )
    estimate: Estimate | None = Field(default=None, description="How much of it there is.")
    review: Review | None = Field(default=None, description="What people said of its files; null: nothing.")
    line: float | None = Field(default=None, description="The score from which on a hit is more than a weak match.")
    several: bool = Field(
        default=False,
        description="The question has several parts, which no single search can say: `POST /v1/plan` takes them one by one.",
    )


class CopyFile(Wire):
    """A file that is a copy of others."""

    asset: AssetRef
    bytes: int
    places: list[Place]


class CopyGroup(Wire):
    """Files that are copies of each other, the one to keep first; ``frees``: the bytes of all others."""

    files: list[CopyFile]
    frees: int


class DuplicatesRequest(Narrowed):
    """Of which part of the archive copies are wanted."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100


class Duplicates(Wire):
    """Groups of copies, the largest first. Nothing is deleted."""

    groups: list[CopyGroup]
    more: int = Field(description="Groups beyond the limit.")
    without: int = Field(description="Pictures and shots that were indexed before copies were looked for, and were not compared.")


class Reused(Wire):
    """A stretch of a film or a sound that another asset has as well."""

    asset: AssetRef
    channel: Channel = Field(description="Whether it is seen or heard.")
    span: Span
    other: Span = Field(description="The stretch of the other asset.")
    mirrored: bool
    samples: int = Field(description="Frames or sounds that agree.")
    closeness: Share = Field(description="How closely they agree.")


class Reuse(Wire):
    """Where stretches of an asset are found in others, in order of time."""

    used: list[Reused]


class WhyRequest(Wire):
    """Hits of a search that are to be explained."""

    search: SearchRequest = Field(description="The search that found them. Patterns cannot be explained.")
    segments: Annotated[list[Id], Field(min_length=1, max_length=50)] = Field(
        description="Segments of its hits, in the order of the hits: each is compared with the one before."
    )
    map: bool = Field(default=False, description="Also which parts of pictures answer; takes longer, since they are decoded.")


class TermEvidence(Wire):
    """What a term of the question gave, in log-odds."""

    term: str
    weight: float
    evidence: float


class SpaceEvidence(Wire):
    """What a space gave, in log-odds: the sum of what its terms gave, of where any such segment starts, and of what its kind gave."""

    space: str
    evidence: float
    cosine: float
    start: float
    kind: float = Field(description="By whether segments of this kind hold the answer at all.")
    step: float = Field(description="The cosine that makes one log-odds.")
    terms: list[TermEvidence]
    preferences: float = Field(description="By what somebody preferred.")


class StripPart(Wire):
    """A stretch of a file, and its score in log-odds."""

    start_ms: int
    end_ms: int
    score: float


class ChannelEvidence(Wire):
    """The best segment of the hit's file in one channel, and the strip over the file's timeline."""

    channel: Channel
    segment: int
    score: float
    strip: list[StripPart]


class Above(Wire):
    """What it would take to pass the segment before: so much more log-odds."""

    segment: int
    lacks: float
    cosine: float | None = Field(description="The cosine that would do, where meaning in one space decides; null otherwise.")
    heavier: str = Field(description="The term that speaks most for this hit against the other, and may weigh more; or empty.")


class MapWindow(Wire):
    """A part of a picture, in percent of its width and height, and how much it says as a share of what the best part says."""

    left: float
    top: float
    width: float
    height: float
    share: float


class Why(Wire):
    """Why a segment was found. ``score`` is the largest of meaning, words, and both; all in log-odds."""

    segment: int
    score: float
    by: Literal["meaning", "words", "both"]
    meaning: float | None = Field(
        description="What the spaces gave together: their sum over the square root of how many they are."
    )
    words: float | None
    matched: list[str] = Field(description="The words of its text that the question has.")
    spaces: list[SpaceEvidence]
    channels: list[ChannelEvidence]
    above: Above | None
    map: list[MapWindow] = []


class Whys(Wire):
    """Why segments were found, in the order in which they were named."""

    whys: list[Why]


class PlanRow(PlanStep):
    """A step of a plan, and what became of it."""

    number: int
    possible: Share = Field(description="Coverage times chance, as far as these are known.")
    worth: Share = Field(description="Useful times possible.")
    coverage: Share = Field(description="The share of files that hold what the step looks at and can be searched; 0: none.")
    chance: Share | None = Field(
        description="The calibrated chance that the archive has an answer; null: the step was not taken."
    )
    recall: Share | None = Field(description="The least share of right files that is known by judgements; null: not known.")
    ms: float | None = Field(description="How long it took.")
    state: Literal["taken", "skipped", "impossible", "stopped", "offered"] = Field(description="`offered`: a person may take it.")
    gain: float | None = Field(
        description="How many relevant moments it has added, or could add at most, to those that are shown."
    )
    why: str = Field(description="Why it is impossible.")
    remedy: str


class Plan(Wire):
    """A question with its steps, and the answer to it; null: no step could be taken."""

    question: str
    steps: list[PlanRow]
    together: bool
    calls: int = Field(description="Searches that were made.")
    stopped: str = Field(description="Why no more steps were taken; empty: all were.")
    notes: list[str] = Field(description="What could not be searched.")
    answer: Found | None


class AssetEntry(AssetRef):
    """An asset in a list."""

    bytes: int
    segment: int | None = Field(
        default=None, description="The first of its segments, which stands for it where nothing was asked."
    )
    title: str | None = None
    day: datetime.date | None = Field(default=None, description="The first of the days of `date`.")
    added_at: datetime.datetime
    links: Links


Judgeable = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]


class SampleRequest(Narrowed):
    """A wish for files that nobody has judged."""

    question: Judgeable
    count: Annotated[int, Field(ge=1, le=1000)] = 20


class JudgeRequest(Narrowed):
    """Files that answer a question, and files that do not."""

    question: Judgeable
    right: Annotated[list[Id], Field(max_length=1000)] = []
    wrong: Annotated[list[Id], Field(max_length=1000)] = []
    of_sample: bool = Field(default=False, description="They are those that were drawn last under the same filter, all of them.")


class Judgement(Wire):
    """What people said of a file."""

    asset: int
    right: bool
    of_sample: bool


class Judgements(Wire):
    """What people said of a question's files, in the order in which they did."""

    question: str
    files: list[Judgement]
    review: Review | None


class Forgotten(Wire):
    """How many judgements were taken back."""

    forgotten: int


class Sample(Wire):
    """Files that were drawn at random, from a `population` of those that nobody has judged."""

    files: list[AssetEntry]
    population: int


class Assets(Wire):
    """A page of assets, newest first."""

    assets: list[AssetEntry]
    cursor: str | None


class Place(Wire):
    """Where an asset lies."""

    collection: str
    folder: str
    name: str
    path: str | None = None
    missing: bool
    away: bool = False


class Gap(Wire):
    """What of an asset could not be searched, why, and what to do."""

    reason: str
    detail: str
    remedy: str
    span: Span | None = None


class Tag(Wire):
    """A label of an asset, with its probability among the labels of its vocabulary, 0 to 1."""

    name: str
    score: float


class Provenance(Wire):
    """What a file states of its making. Nothing is guessed. `evidence` is a sentence."""

    origin: Origin | None = None
    credentials: Credentials | None = Field(
        default=None, description="What came of checking its content credentials (C2PA); absent: it has none."
    )
    evidence: str


class Claim(Wire):
    """A step in the making of a file, as its signer states it. `sources` are codes of IPTC's digital source types; `problems` are
    C2PA's codes of failures."""

    title: str
    signer: str
    software: str
    signed_at: str | None = None
    actions: list[str]
    sources: list[str]
    relation: str = Field(description="What it is to the next step: parent, component or input; empty for the file itself.")
    problems: list[str]
    made_from: list[Claim]


class ProvenanceReport(Wire):
    """All that a file states of its making. `link` is where credentials lie that are not in it; they are not fetched."""

    provenance: Provenance
    evidence: list[str]
    claim: Claim | None = None
    link: str | None = None


class MotionFeature(Wire):
    """A feature of motion: what it measures, in which unit, and the amount at which its strength is .5."""

    name: str
    measures: str
    unit: str
    half: float


class MotionStretch(Wire):
    """A part of a recording. `features` are the strengths of those that it tells, 0 to 1; `way` is where it ends, in metres east and north of
    where the track begins, and absent where positions are not shown."""

    start_ms: Milliseconds
    end_ms: Milliseconds
    features: dict[str, float]
    way: tuple[float, float] | None = None


class MotionFilm(Wire):
    """A film that was taken meanwhile. `offset_ms` is when it begins, counted from the beginning of the recording; `segment` its first."""

    asset: AssetRef
    offset_ms: int
    segment: int | None = None


class MotionStrip(Wire):
    """What a track or a recording of motion tells over time."""

    features: list[MotionFeature]
    stretches: list[MotionStretch]
    films: list[MotionFilm]


class AssetDetail(AssetEntry):
    """All that is known of an asset."""

    locations: list[Place]
    segments: dict[str, int] = Field(description="Segments by channel.")
    gaps: list[Gap]
    dates: list[Stamp] = Field(default=[], description="All dates that were found of it, the most telling of each source first.")
    provenance: Provenance | None = Field(default=None, description="What it states of its making; absent: nothing.")
    camera: str | None = Field(default=None, description="The maker and model of what made it.")
    rights: str | None = Field(default=None, description="Its copyright notice and licence.")
    latitude: float | None = Field(
        default=None, description="Where it was made, in degrees: only where `show_positions` names its collection."
    )
    longitude: float | None = None
    tags: list[Tag] = Field(description="Likeliest first.")
    things: dict[str, int] = Field(
        default={}, description="Things that its pictures show: of each label, the most in one of them."
    )


class SegmentEntry(Read):
    """A segment of an asset."""

    id: int
    asset: int
    channel: Channel
    span: Span | None = None
    characters: Characters | None = None
    links: Links


class Segments(Wire):
    """A page of an asset's segments, in their order."""

    segments: list[SegmentEntry]
    cursor: str | None


class Region(Wire):
    """A thing in a picture, or in the frame at ``at_ms`` of the shot ``span``. No confidence: it was imported."""

    label: str
    confidence: float | None
    source: str = Field(
        description="The reader that found it, or `imported`.", examples=["detect:omlab/omdet-turbo-swin-tiny-hf"]
    )
    box: Box
    span: Span | None
    at_ms: int | None


class Regions(Wire):
    """The things in an asset's pictures; ``more`` of them were left out."""

    regions: list[Region]
    more: int


class Neighbours(Wire):
    """A segment with what comes before and after it, in the same asset and channel."""

    segment: SegmentEntry
    before: list[SegmentEntry]
    after: list[SegmentEntry]
    asset: AssetRef


ImaginingId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$"), Field(description="The id of an imagining.")]
ImaginingState = Literal["waiting", "running", "done", "stopped", "failed"]


class ImagineRequest(Wire):
    """What is to be imagined. Without `seeds`, `count` are drawn; the same seeds make the same pictures."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "a red boat on a lake at dawn", "count": 4}]}
    )

    text: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    count: Annotated[int, Field(ge=1, le=5)] = 4
    seeds: Annotated[list[Annotated[int, Field(ge=0, le=2**53)]], Field(max_length=5)] = []
    steps: Annotated[int, Field(ge=1, le=50)] | None = None
    side: Annotated[int, Field(ge=32, le=1024, multiple_of=8, description="Of each picture, in pixels.")] | None = None


class ImaginedPicture(Wire):
    """A picture that a model made. `held_back`: its safety checker blackened it."""

    seed: int
    upload: UploadId
    png: str = Field(description="The picture as a data: URL.")
    held_back: bool = False


class Imagining(Wire):
    """What a model imagines of a text. `progress` is 0 to 1; `checked`: its own safety checker looks at each picture; null: not known yet."""

    id: ImaginingId
    state: ImaginingState
    progress: float
    text: str
    seeds: list[int]
    imagined_by: str
    checked: bool | None = None
    trouble: str | None = None
    pictures: list[ImaginedPicture]


class Question(Wire):
    """A question about an asset; of a video, about its frame at ``at_ms``, or about all of it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"question": "What is the man holding?", "at_ms": 12_500}]}
    )

    question: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"\S")]
    at_ms: Milliseconds | None = None


class Answer(Wire):
    """What a model answers: its own writing, which may be wrong, and is not stored. ``frames_ms``: the frames of a video that it saw."""

    answer: str
    written_by: str = Field(description="The model.")
    confidence: float = Field(description="The mean probability of what it wrote, between 0 and 1.")
    frames_ms: list[int]


class Translation(Wire):
    """A translation, written by a model; it may be wrong, and is not stored."""

    text: str
    language: str = Field(description="Of the translation (ISO 639-1).")
    translated_from: str
    written_by: str = Field(description="The model.")
    confidence: float = Field(description="The mean probability of what it wrote, between 0 and 1.")


class Sprite(Wire):
    """A sheet of frames for hovering: ``count`` frames, row by row, each ``width`` x ``height`` pixels and ``step_ms`` apart."""

    columns: int
    rows: int
    count: int
    width: int
    height: int
    step_ms: int


CaseName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*\S[^\x00-\x1f]*$", strip_whitespace=True)
]
Note = Annotated[str, StringConstraints(max_length=20_000)]


class CaseEntry(Wire):
    """A case in a list."""

    id: int
    name: str
    note: str
    version: int = Field(description="Grows with every change.")
    count: int = Field(description="How many exhibits it has.")
    created_at: datetime.datetime
    changed_at: datetime.datetime


class CaseList(Wire):
    """Every case, the one that was changed last first."""

    cases: list[CaseEntry]


class SavedQuestionRequest(Wire):
    """A question to save, in the text form."""

    form: Annotated[str, StringConstraints(min_length=1, max_length=2_000, pattern=r"\S")]
    false_alarms: Annotated[float, Field(ge=1e-9, le=0.1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="It stands: it tells by itself what comes. The share of unrelated segments that may be told by mistake, by the calibration.",
    )
    webhook: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] | None = Field(
        default=None, description="Where it is told: an address that begins with https://, or http:// on the service's machine."
    )

    @model_validator(mode="after")
    def _stands(self) -> Self:
        if self.webhook is not None and self.false_alarms is None:
            raise ValueError("a question with a webhook has a rate of false_alarms")
        return self


class SavedQuestionEntry(Wire):
    """A saved question. To ask for what is new: search with its form and the filter `after_segment` of `seen_until`."""

    name: str
    form: str
    seen_until: int
    saved_at: datetime.datetime
    asked_at: datetime.datetime | None = Field(default=None, description="When it was last asked for what is new.")
    false_alarms: float | None = Field(default=None, description="Of a standing question; null: it does not stand.")
    webhook: str | None = None
    command: bool = Field(default=False, description="Whether a program of the service's machine is told.")
    failure: str | None = Field(default=None, description="Why a standing question could not tell the last time; null: it could.")


class SavedQuestionList(Wire):
    """Every saved question, by name, and the number of the last segment up to which none waits to be embedded."""

    questions: list[SavedQuestionEntry]
    last_segment: int


class SavedQuestionNews(Wire):
    """What has come to a standing question: segments, the best first, above `seen_until` and up to `until`."""

    name: str
    form: str
    seen_until: int
    until: int
    segments: list[int]


class SavedQuestionSeen(Wire):
    """What has been shown: segments up to this number."""

    until: Annotated[int, Field(ge=0, le=2**63 - 1)]


class CaseRequest(Wire):
    """A new case."""

    name: CaseName
    note: Note = ""


class ExhibitRequest(Wire):
    """A moment to collect: an asset by its id or by its SHA-256, or a stretch of it."""

    asset: Id | None = None
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    note: Note = ""
    question: Note = Field(default="", description="The question that led to it, such as the page's address.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.asset is None) == (self.sha256 is None):
            raise ValueError("an exhibit names its medium either by asset or by sha256")
        if (self.start_ms is None) != (self.end_ms is None) or (self.start_ms or 0) > (self.end_ms or 0):
            raise ValueError("a stretch has a start and an end, which is not before it")
        return self


class Collected(Wire):
    """Moments to put at the end of a case."""

    exhibits: Annotated[list[ExhibitRequest], Field(min_length=1, max_length=1_000)]


class CaseChange(CaseRequest):
    """What a case is to be: exactly these exhibits, in this order. ``version`` is the one that was read."""

    version: Annotated[int, Field(ge=1, le=2**53)]
    exhibits: Annotated[list[ExhibitRequest], Field(max_length=10_000)]


class ExhibitEntry(Wire):
    """A collected moment. ``asset`` is null while the archive does not hold its medium."""

    sha256: str
    name: str
    start_ms: int | None
    end_ms: int | None
    note: str
    question: str
    added_at: datetime.datetime
    asset: AssetRef | None
    segment: int | None = Field(description="A segment of the asset, to open it by.")
    links: Links | None


class CaseDetail(CaseEntry):
    """A case with its exhibits, in their order."""

    exhibits: list[ExhibitEntry]


ExportFormat = Literal[
    "csv", "json", "vtt", "annotations", "regions", "coco", "iiif", "edl", "otio", "fcpxml", "sheet", "pictures", "clips"
]


class Excerpted(Wire):
    """A moment to export: an asset, or a stretch of it. A ``note`` stands in the export instead of what is said there."""

    asset: Id
    start_ms: Milliseconds | None = None
    end_ms: Milliseconds | None = None
    text: Annotated[str, StringConstraints(max_length=20_000)] = ""
    note: Annotated[str, StringConstraints(max_length=20_000)] = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.start_ms is None) != (self.end_ms is None) or (self.start_ms or 0) > (self.end_ms or 0):
            raise ValueError("a stretch has a start and an end, which is not before it")
        return self


class ExportRequest(Wire):
    """What to export, and how: the hits of a search, or moments in an order of one's own."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "format": "otio",
                    "title": "Boats",
                    "search": {"query": [{"text": "boats at sunset"}], "targets": ["video"], "k": 50},
                },
                {
                    "format": "clips",
                    "title": "Harbour",
                    "moments": [{"asset": 7, "start_ms": 1500, "end_ms": 4000, "note": "gulls"}],
                },
            ]
        },
    )

    format: ExportFormat = Field(
        description="`annotations`: W3C Web Annotations; `regions`: those of things in pictures; `coco`: things as COCO has them; `iiif`: a manifest of IIIF 3.0; `edl`: CMX 3600, one for each rate; `sheet`: a contact sheet, PDF; `pictures`: JPEG, of at most 1280 pixels; `clips`: the media, cut."
    )
    title: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]*$")] = "export"
    search: SearchRequest | None = None
    moments: Annotated[list[Excerpted], Field(max_length=10_000)] = []
    exact: bool = Field(
        default=True,
        description="Of clips of video: encoded anew, to the frame; false: packets copied, from the key frame before.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.search is None) == (not self.moments):
            raise ValueError("an export has either a search or moments")
        return self


class Point(Wire):
    """A place in a picture, in percent of its width and height."""

    x: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
    y: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class MaskRequest(Wire):
    """What points at a thing in a picture: points on it, points beside it, a box around it, or several of these. A click is one point, a
    scribble many."""

    asset: Id | None = None
    segment: Id | None = Field(
        default=None, description="A segment that shows a picture. Of a shot, the frame in its middle is taken."
    )
    upload: UploadId | None = None
    at_ms: Milliseconds | None = Field(default=None, description="Of a video, the frame on screen at this time.")
    on: Annotated[list[Point], Field(max_length=1_000)] = []
    beside: Annotated[list[Point], Field(max_length=1_000)] = []
    box: Part | None = None
    cut: Literal["thing", "box"] = Field(
        default="thing", description="`box`: everything in the box is taken, and there is no mask."
    )

    @model_validator(mode="after")
    def _pointed(self) -> Self:
        if [self.asset, self.segment, self.upload].count(None) != 2:
            raise ValueError("exactly one of asset, segment and upload is needed")
        if not (self.box or (self.on and self.cut == "thing")):
            raise ValueError("a box is needed" if self.cut == "box" else "a point on the thing, or a box around it, is needed")
        return self


class MaskRuns(Wire):
    """A mask in COCO's uncompressed form: its height and width, and the lengths of the runs of 0 and 1 down its columns, beginning
    with 0."""

    size: Annotated[list[int], Field(min_length=2, max_length=2)]
    counts: list[int]


class CutOut(Wire):
    """A thing in a picture, or a part of one, kept as an upload to search with."""

    source: str = Field(
        description="`box`; `grabcut`, which separates colours and knows no things; or the model that is set: the mask may be wrong.",
        examples=["grabcut", "mask:facebook/sam2.1-hiera-tiny"],
    )
    confidence: Share | None = Field(default=None, description="How well the model believes that the mask fits.")
    box: Box
    share: Share = Field(description="The share of the picture's pixels.")
    mask: MaskRuns | None
    png: str | None = Field(description="The mask as a data: URL.")
    upload: Upload
    form: str = Field(description="What to search with in the text form.", examples=["upload:0123456789abcdef0123456789abcdef"])


class FetchRequest(Wire):
    """Content to search with, from the web."""

    url: Annotated[str, Field(min_length=1, max_length=2000, description="An https address on the public internet.")]


class Upload(Wire):
    """Content to search with."""

    id: str
    modality: Modality
    bytes: int
    expires_at: datetime.datetime | None = Field(description="Unless it is used before; null: it is pinned.")


class JobRequest(Wire):
    """What to index. Folders and files lie under the configured roots; relative ones below any root of the collection."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"paths": ["/srv/media/2024"], "collection": "harbour"}]}
    )

    paths: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]],
        Field(min_length=1, max_length=50),
    ]
    collection: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/]*$")] = "default"
    retry: bool = Field(default=False, description="Try files again that failed before.")
    prune: bool = Field(default=False, description="Forget files that are no longer there.")


class RetryRequest(Wire):
    """Which failures to try again: those with these ids, or all; for one reason, of one collection, where these are given."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"reason": "too_slow"}, {"failures": [17, 23]}]})

    failures: Annotated[list[Id], Field(max_length=500)] = Field(default=[], description="As `GET /v1/failures` lists them.")
    reason: Words | None = None
    collection: Words | None = None


JobState = Literal["queued", "running", "done", "failed", "cancelled"]


class Progress(Wire):
    """How far a job is. ``files_per_second`` and ``seconds_left`` are guesses from what was done so far."""

    scanning: bool = True
    files: int = 0
    unchanged: int = 0
    to_do: int = 0
    done: int = 0
    failed: int = 0
    segments: int = 0
    current: str = Field(default="", description="The name of the file that is being indexed.")
    files_per_second: float | None = None
    seconds_left: float | None = None
    reader: str | None = Field(default=None, description="The reader that is at work, after what was embedded.")
    to_read: int = Field(default=0, description="Files that waited for it when it began.")
    behind: float = Field(default=0.0, description="How many of these are behind it; of a long file a part counts.")
    stage: str | None = Field(default=None, description="What is done to the index, after everything was embedded.")
    stage_done: int = Field(default=0, description="Vectors that this is done for.")
    stage_of: int = Field(default=0, description="Vectors that it is to be done for; 0 where nobody knows.")


class Job(Wire):
    """An index job. ``error`` says why it failed, in words."""

    id: int
    state: JobState
    kind: Literal["index", "retry", "map"] = Field(
        description="Whether it looks through folders, tries failures again, or makes a map."
    )
    collection: str = Field(description="Of a retry: empty for all.")
    folders: list[str] = Field(description="What it indexes, as names below the roots.")
    reason: str | None = Field(default=None, description="Of a retry: the only one that is tried again.")
    retry: bool
    prune: bool
    progress: Progress
    error: str | None = None
    remedy: str | None = None
    created_at: datetime.datetime
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None


class Jobs(Wire):
    """Index jobs, newest first."""

    jobs: list[Job]
    cursor: str | None


class Failure(Gap):
    """A line of the ledger."""

    id: int
    asset: int | None = None
    collection: str | None = None
    folder: str
    name: str
    path: str | None = None


class Reason(Wire):
    """How often something failed for one reason, and what to do about it."""

    reason: str
    count: int
    remedy: str


class Failures(Wire):
    """What could not be searched: counts by reason, and a page of the lines."""

    reasons: list[Reason]
    failures: list[Failure]
    cursor: str | None


class Root(Wire):
    """A folder. Requests may call it by its name; its path shows only where a collection is configured to show it."""

    name: str
    path: str | None = None


class Collection(Wire):
    """A collection: its roots by name, and its files by modality; ``missing`` and ``failed`` files are counted besides."""

    name: str
    roots: list[Root]
    files: dict[str, int]
    coverage: Coverage = Field(description="How much of it a search in the default space can see.")


class Collections(Wire):
    """A page of the collections, and the folders that index jobs may name: at most 1,000 of them."""

    collections: list[Collection]
    cursor: str | None
    roots: list[Root]
    tags: dict[str, int] = Field(description="The most frequent labels of `sensorium tag`: to how many assets each was given.")


class SpaceEntry(Wire):
    """An embedding space: the ``default`` answers where none is named; ``kinds`` are the media and channels that it takes in."""

    name: str
    encoder: str
    revision: str
    dim: int
    default: bool
    accepts: list[Modality]
    kinds: list[str] = Field(examples=[["image/visual", "video/visual", "text/text"]])
    collections: list[str] = Field(description="The collections that it takes in; none: all.")


class RecallFigure(Wire):
    """What lists find of the ten best that an exact scan finds. Archives that are scanned as a whole have none."""

    space: str
    kind: str = Field(examples=["image/visual"])
    asked: str = Field(description="The modality of the questions, and the share that a filter let through, if there was one.")
    recall: float
    questions: int
    real: bool = Field(description="Measured on questions that were asked; otherwise on samples.")


class Unread(Wire):
    """How many assets no reader has read for a channel, and how long they are together."""

    channel: Channel
    why: Literal["waiting", "failed", "none", "subtitles"] = Field(
        description="none: no reader was added that reads it; subtitles: nor one that reads the subtitle tracks of films."
    )
    assets: int
    duration_ms: int


class Status(Wire):
    """What the archive holds and how the service is."""

    engine: Literal["ready", "loading", "empty", "failed"]
    detail: str | None = Field(default=None, description="Why the engine failed.")
    remedy: str | None = None
    generation: int | None
    collections: list[str]
    spaces: list[SpaceEntry]
    recall: list[RecallFigure] = Field(default=[], description="Recall@10 of lists of large kinds, by direction.")
    files: dict[str, int]
    assets: dict[str, int]
    segments: dict[str, int]
    units: dict[str, int]
    ledger: dict[str, int]
    unread: list[Unread] = Field(default=[], description="What is said, and what stands in pictures, that no reader has read.")
    job: Job | None = Field(description="The index job that is running.")
    hears: str | None = Field(default=None, description="The reader that hears spoken questions; null: there is none.")
    regions: bool = Field(default=False, description="Whether parts of pictures can be searched, with `region`.")
    answers: str | None = Field(default=None, description="The model that is set to answer questions about an asset.")
    translates: str | None = Field(default=None, description="The model that is set to translate.")
    imagines: str | None = Field(default=None, description="The model that is set to imagine pictures.")
    masks: str | None = Field(default=None, description="The model that is set to make masks; null: colours are separated.")
    version: str


class Mistake(BaseModel):
    """What of a request cannot be."""

    where: str = Field(description="The field, with what it stands in: `query.limit`, `body.query.0.text`.")
    message: str


class Trouble(BaseModel):
    """A problem (RFC 9457). ``remedy`` says what to do; ``errors`` which fields of the request cannot be; ``request`` is the id that the log names."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "examples": [
                {
                    "type": "/v1/problems/empty-archive",
                    "title": "The archive is empty",
                    "status": 409,
                    "detail": "Nothing is indexed yet, so nothing can be found.",
                    "remedy": "Start an index job: POST /v1/index-jobs.",
                }
            ]
        },
    )

    type: str
    title: str
    status: int
    detail: str
    remedy: str = ""
    errors: list[Mistake] | None = None
    request: str | None = None
