"""A person says what a case is about: a new report of the case, and something learnt for the next ones."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from time import time_ns

import orjson

from server.live.linking import case_key
from server.live.live import Live, Outcome
from server.problem import ProblemError
from twin.live.model import Link, Report, Stored

SURE = 1.0


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person says.

    Attributes:
        geid: The entity; None: it is about none.
        learn: Whether the code or the address of the case stands for the entity from now on.
        note: Why, in the person's words.
    """

    geid: str | None
    learn: bool = True
    note: str = ""

    @classmethod
    def read(cls, body: bytes) -> Correction:
        """Out of JSON.

        Raises:
            ProblemError: 400.
        """
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict) or "geid" not in told or not set(told) <= {"geid", "learn", "note"}:
            raise ProblemError(
                400, "no_correction", 'Send {"geid": "...", "learn": true, "note": "..."}; geid may be null.'
            )
        geid, learn, note = told["geid"], told.get("learn", True), told.get("note", "")
        fits = isinstance(learn, bool) and isinstance(note, str) and len(note) <= 2000
        if not fits or not (geid is None or (isinstance(geid, str) and 0 < len(geid) <= 200)):
            raise ProblemError(400, "no_correction", "geid is text or null, learn true or false, note a text.")
        return cls(geid, learn, note)


async def corrected(live: Live, source: str, case: str, wanted: Correction, who: str) -> Outcome:
    """Ties a case to what a person says, and tells it like any report.

    Args:
        live: Where it is kept.
        source, case: Which case.
        wanted: What the person says.
        who: Who says it.

    Raises:
        ProblemError: 404 where there is no such case or entity.
        LiveBusyError, StoreError: As `Live.take`.
    """
    before, state = await asyncio.to_thread(_reports, live, source, case)
    geid = None if wanted.geid is None else await asyncio.to_thread(_entity, live, wanted.geid)
    text = state.place.code or state.place.address
    learnt = bool(wanted.learn and geid and text)
    data = {**state.data, "corrected_by": who, "corrects": before.offset, "learnt": learnt}
    if wanted.note:
        data["note"] = wanted.note
    # a time in it: what was said, taken back and said again are three reports
    name = f"link-{before.offset}-{time_ns()}"
    report = replace(state, id=name, data=data)
    link = await asyncio.to_thread(live.tie.drawn, report, Link(geid, "person", SURE))
    (outcome,) = await live.keep([(report, link)])
    await asyncio.to_thread(live.store.learn, case_key(source, case), geid or "", who)
    if geid is not None and text is not None and learnt:
        await asyncio.to_thread(live.store.learn, text, geid, who)
    live.tie.forget()
    return outcome


def _reports(live: Live, source: str, case: str) -> tuple[Stored, Report]:
    """The youngest report of a case, and the one that tells its state."""
    found = live.store.case(source, case)
    if not found:
        raise ProblemError(404, "not_found", "There is no such case; write source and case with %2F for each slash.")
    state = max(found, key=lambda one: (one.report.occurred_ms, one.offset))
    return found[-1], state.report


def _entity(live: Live, text: str) -> str:
    geid = live.tie.find(text)
    if geid is None:
        raise ProblemError(404, "not_found", f"No entity {text[:60]!r} is served.")
    return geid
