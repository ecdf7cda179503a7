"""Library: what the archive holds, adding a folder and watching it come in, what failed, what is new."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from search.api.schemas import Collections, Failures, Job, Status
from search.errors import PARTLY, Refused, ServiceError
from ui import phrasing
from ui.i18n import decimal, tr, whole
from ui.page import frame, look
from ui.page.components import shelf
from ui.page.state import MEDIA, State

_SAMPLE = "sample"
_LAST, _TROUBLE = "job", "job-trouble"


def show(state: State) -> None:
    """Draw the library."""
    client = frame.client()
    status, collections, failures = client.status(), client.collections(), client.failures()
    counts = [
        {
            "medium": one,
            "count": whole(number := status.assets.get(one, 0)),
            "noun": phrasing.count(number, noun).partition(" ")[2],
        }
        for one, noun in phrasing.MEDIA.items()
        if one in MEDIA or status.assets.get(one)
    ]
    shelf({"counts": counts}, key="counts")
    _add(collections)
    watched()
    shelf({"collections": [*_collections(collections)], "failures": _failures(failures)}, _again, key="shelf")
    if collections.cursor:
        st.caption(
            tr(
                "The first {shown} of {all} collections are shown.",
                shown=whole(len(collections.collections)),
                all=whole(len(status.collections)),
            )
        )
    for one in status.unread:
        st.caption(" ".join(phrasing.wordless(one.channel, one.why, one.assets, one.duration_ms)))
    look.newest(state, heading=tr("Recently added"))


def welcome(status: Status) -> None:
    """An empty archive: how to fill it, and the sample to try it with."""
    collections = frame.client().collections()
    with st.container(key="welcome", horizontal_alignment="center"):
        st.markdown(
            f"#### {tr('The first files are being indexed') if status.job else tr('The archive is empty')}",
            text_alignment="center",
        )
        st.markdown(
            tr("They appear here as they come in.") if status.job else
            tr("Fill it from a folder of this machine: add one below, or run `sensorium index PATH`. Then search its images, videos, sounds and texts with any of them."), text_alignment="center",
        )  # fmt: skip
        if _SAMPLE in {root.name for root in collections.roots} and not status.job:
            st.button(tr("Try it with the sample archive"), type="primary", on_click=_start, args=([_SAMPLE], "sample"))
    watched(empty=True)
    _add(collections)


def _add(collections: Collections) -> None:
    roots = [root.name for root in collections.roots]
    with st.expander(tr("Add a folder"), icon=":material/create_new_folder:"):
        if not roots:
            st.markdown(tr("No folders are shared with the service yet. Start it with `sensorium serve --root PATH`."))
            return
        with st.form("add", border=False):
            one, two, three = st.columns([2, 3, 2])
            one.selectbox(tr("Root"), roots, help=tr("Folders that are shared with the service."), key="add-root")
            two.text_input(tr("Folder"), placeholder=tr("Leave empty for all, or e.g. 2024/harbour"), key="add-folder")
            three.text_input(tr("Collection"), "default", key="add-collection")
            st.form_submit_button(tr("Add"), type="primary", on_click=_started)


def _started() -> None:
    """Ask for a job as the form says."""
    root, folder, collection = (str(st.session_state[f"add-{name}"]).strip() for name in ("root", "folder", "collection"))
    _start(["/".join(part for part in (root, folder.strip("/")) if part)], collection or "default")


def _start(paths: list[str], collection: str) -> None:
    _ask(lambda key: frame.client().index(paths, collection=collection, key=key))


def _ask(job: Callable[[str], Job]) -> None:
    """Ask for an index job; why there is none is said where its progress would be."""
    st.session_state.pop(_TROUBLE, None)
    try:
        st.session_state[_LAST] = job(secrets.token_hex(8)).id
    except Refused as error:
        st.session_state[_TROUBLE] = f"{error} {error.remedy}"


def watched(*, empty: bool = False) -> None:
    """The job that runs, or that was started here, watched while it goes on; or why there is none. ``empty``: the archive is, so far."""
    with st.container(key="job"):  # always there, so that what follows keeps its place, and what is open stays open
        if trouble := st.session_state.get(_TROUBLE):
            st.warning(phrasing.plain(trouble))
        job = _job()
        if job and job.state in ("queued", "running"):
            st.fragment(run_every=1.0)(_watch)(empty)
        elif job:
            _ended(job)


def _watch(empty: bool) -> None:
    try:
        job = _job()
        filled = empty and bool(frame.client().status().assets)
    except ServiceError:
        return  # the page says it as soon as anything is asked
    if filled or job is None or job.state not in ("queued", "running"):
        look.forget()
        st.rerun()
    share, told = progress(job)
    with st.container(key="progress", border=True):
        st.progress(share, phrasing.plain(told))
        if job.progress.current:
            st.caption(phrasing.plain(job.progress.current))
        st.button(tr("Stop"), on_click=_cancel, args=(job.id,), help=tr("What is already indexed stays."))


def progress(job: Job) -> tuple[float, str]:
    """How far a job is: a share from 0 to 1, and a line with the rate and the time left."""
    now, folders = job.progress, _named(job)
    if job.state == "queued":
        return 0.0, f"{folders}: {tr('queued')}"
    if now.scanning:
        if not now.files:
            return 0.0, f"{folders}: {tr('starting')}"
        told = tr("scanning, {files} found", files=phrasing.count(now.files, "file"))
        if now.done + now.failed:
            told += ", " + tr("{number} indexed", number=whole(now.done + now.failed))
        return 0.0, f"{folders}: {told}"
    left = f", {tr('{time} left', time=phrasing.left(now.seconds_left))}" if now.seconds_left else ""
    if now.stage:
        of = (
            f", {tr('{number} of {all}', number=whole(now.stage_done), all=phrasing.count(now.stage_of, 'vector'))}"
            if now.stage_of
            else ""
        )
        return now.stage_done / now.stage_of if now.stage_of else 0.0, f"{folders}: {tr(now.stage)}{of}{left if of else ''}"
    if now.reader:
        told = tr("{number} of {all}", number=whole(int(now.behind)), all=phrasing.count(now.to_read, "file"))
        return min(now.behind / max(now.to_read, 1), 1.0), f"{folders}: {phrasing.reading(now.reader)}, {told}{left}"
    if not now.to_do:
        return 1.0, f"{folders}: {tr('nothing new to index')}"
    ended = now.done + now.failed
    rate = f", {tr('{number} files a second', number=decimal(f'{now.files_per_second:.1f}'))}" if now.files_per_second else ""
    told = tr("{number} of {all}", number=whole(ended), all=whole(now.to_do))
    return min(ended / max(now.to_do, 1), 1.0), f"{folders}: {told}{rate}{left}"


def _named(job: Job) -> str:
    """What a job works on."""
    return ", ".join(job.folders) if job.kind == "index" else tr("Map") if job.kind == "map" else tr("Retry")


def _ended(job: Job) -> None:
    now = job.progress
    if job.state == "failed":
        st.warning(phrasing.plain(f"{job.error} {job.remedy or ''}"))
        return
    ended = tr("stopped") if job.state == "cancelled" else tr("done")
    counts = [tr("{files} indexed", files=phrasing.count(now.done, "file"))]
    counts += [tr("{number} unchanged", number=whole(now.unchanged))] if now.unchanged else []
    counts += [tr("{number} failed", number=whole(now.failed))] if now.failed else []
    st.caption(phrasing.plain(f"{_named(job)} {ended}: {', '.join(counts)}."))


def _job() -> Job | None:
    """The job that runs; else the one that was started from here."""
    client = frame.client()
    running = client.status().job
    if running is None and (last := st.session_state.get(_LAST)):
        running = client.job(last)
    return running


def _cancel(job: int) -> None:
    frame.client().cancel_job(job)


def _collections(told: Collections) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name, "roots": ", ".join(root.path or root.name for root in one.roots),
            "files": " · ".join(_held(one.files)), "unseen": phrasing.unseen(one.coverage),
        }
        for one in told.collections
    ]  # fmt: skip


def _held(files: Mapping[str, int]) -> list[str]:
    """Files by what they are, then those that are missing; what failed is told with the rest that cannot be found."""
    media = [phrasing.count(files[one], noun) for one, noun in phrasing.MEDIA.items() if files.get(one)]
    gone = (
        ("missing", tr("{number} missing", number=whole(files.get("missing", 0)))),
        ("away", tr("{number} away", number=whole(files.get("away", 0)))),
    )
    return [*media, *(told for state, told in gone if files.get(state))]


def _failures(told: Failures) -> list[dict[str, Any]]:
    return [
        {
            "reason": one.reason, "partly": one.reason in PARTLY, "count": phrasing.count(one.count, "file"), "why": one.remedy or one.reason,
            "files": [
                {"id": line.id, "name": f"{line.folder}/{line.name}".strip("/"), "detail": line.detail}
                for line in told.failures
                if line.reason == one.reason
            ],
        }
        for one in told.reasons
    ]  # fmt: skip


def _again(told: Mapping[str, Any]) -> None:
    """Try failures again, one file or all for a reason; or look through a collection's folders for changes; or open a picture."""
    if told.get("kind") == "open":
        look.sent(told)
        return
    if told.get("retry"):
        _ask(
            lambda key: frame.client().retry(
                failures=[told["failure"]] if told.get("failure") else (), reason=told.get("reason"), key=key
            )
        )
        return
    for one in frame.client().collections().collections:
        if one.name == told.get("collection"):
            _start([root.name for root in one.roots], one.name)
