"""Draws lanes against a time axis.

Places are attributes of SVG elements, in per cent: the page's policy forbids style attributes, and
so it scales without a script. How a bar ended is told by its texture, a mark behind it and words.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from localcloud.dashboard.attempts import details
from localcloud.dashboard.axis import Axis, Tick
from localcloud.dashboard.lanes import Bar, End, Lane, Sort
from localcloud.dashboard.markup import Child, Html, el
from localcloud.dashboard.values import Payload, iso, lasting

_MARKS: Final = {
    End.COMPLETED: "",
    End.FAILED: "✕",
    End.OPEN: "▸",
    End.UNFINISHED: "■",
    End.UNFIRED: "○",
    End.MISSED: "○",
}
_LEGEND: Final = (
    ("completed", End.COMPLETED, ""),
    ("failed", End.FAILED, "✕"),
    ("still open", End.OPEN, "▸"),
    ("unfinished when the instance ended", End.UNFINISHED, "■"),
    ("timer that did not fire, event that never came", End.UNFIRED, "○"),
)
_TIPS_MAX: Final = 4
_REASON_MAX: Final = 80


def gantt(lanes: Sequence[Lane], axis: Axis, seen_at: datetime) -> Html:
    """The lanes, each to be opened for its details, under one axis."""
    ticks = axis.ticks()
    rows = [
        el("li", _lane(lane, axis, ticks, seen_at), class_=f"lane {lane.sort.name.lower()}")
        for lane in lanes
    ]
    return el("div", _patterns(), _scale(ticks), el("ol", rows, class_="lanes"), class_="gantt")


def legend() -> Html:
    """What the shapes mean."""
    samples = [
        el(
            "li",
            el(
                "svg",
                _rect(10, 55, end),
                el("text", mark, x="72%", y="16") if mark else None,
                class_="sample",
                aria_hidden="true",
            ),
            words,
        )
        for words, end, mark in _LEGEND
    ]
    bar = "A bar reaches from the scheduling of an attempt to its answer."
    thin = "A thin beginning is the time before a sub-orchestration's first turn."
    dashes = "A dashed line is the pause before the next attempt."
    since = (
        "History does not tell when an activity began to run, nor when a wait for an event began; "
        "that is taken from the turns around it."
    )
    return el(
        "details",
        el("summary", "How to read this"),
        el("ul", samples, class_="legend"),
        el("p", f"{bar} {thin} {dashes} {since}", class_="note"),
        id="legend",
    )


def outcome(lane: Lane, seen_at: datetime) -> str:
    """How a lane stands, in words."""
    first, last = lane.bars[0], lane.bars[-1]
    took = lasting(((last.until or seen_at) - first.at).total_seconds())
    attempts = f", {len(lane.bars)} attempts" if len(lane.bars) > 1 else ""
    match lane.end:
        case End.COMPLETED if lane.sort is Sort.SIGNAL:
            return "sent"
        case End.COMPLETED:
            return took + attempts
        case End.FAILED if last.paused_until is not None:
            pause = lasting((last.paused_until - seen_at).total_seconds())
            return f"failed{attempts}, tries again in {pause}"
        case End.FAILED:
            return f"failed after {took}{attempts}"
        case End.OPEN if lane.sort is Sort.TIMER and last.fires_at is not None:
            return f"fires in {lasting((last.fires_at - seen_at).total_seconds())}"
        case End.OPEN:
            return f"open for {took}{attempts}"
        case end:
            return f"{end}{attempts}"


def _lane(lane: Lane, axis: Axis, ticks: Sequence[Tick], seen_at: datetime) -> Html:
    grid = [
        el("line", x1=f"{t.place}%", x2=f"{t.place}%", y1=0, y2=24, class_="grid") for t in ticks
    ]
    bars = [_bar(bar, axis, seen_at, last=bar is lane.bars[-1]) for bar in lane.bars]
    given = _preview(lane.bars[0].input)
    said = _preview(lane.bars[-1].result) or _why(lane)
    mark = "✕ " if lane.end is End.FAILED else ""
    summary = el(
        "summary",
        el("span", el("b", lane.name), " ", el("small", lane.sort.value), given, class_="what"),
        el(
            "span",
            el("svg", grid, bars, class_="bars", aria_hidden="true"),
            el("span", _tips(lane, seen_at), class_="tip", aria_hidden="true"),
            class_="track",
        ),
        el(
            "span",
            el("span", mark, outcome(lane, seen_at), class_=lane.end.name.lower()),
            said,
            class_="how",
        ),
    )
    return el("details", summary, details(lane, seen_at), id=lane.key)


def _preview(payload: Payload | None) -> Child:
    text = "" if payload is None else payload.preview()
    return el("code", text) if text else None


def _why(lane: Lane) -> Child:
    """The beginning of why the last attempt failed, without what the engine puts before it."""
    reason = lane.bars[-1].reason.partition("\n")[0]
    said = reason.removeprefix(f"Activity function '{lane.name}' failed: ")
    if not said:
        return None
    return el("code", said if len(said) <= _REASON_MAX else f"{said[:_REASON_MAX]} …")


def _bar(bar: Bar, axis: Axis, seen_at: datetime, *, last: bool) -> list[Child]:
    start, begun = axis.place(bar.at), axis.place(bar.began_at or bar.at)
    end = axis.place(_drawn_until(bar, seen_at))
    shapes: list[Child] = []
    if bar.began_at is not None:
        shapes.append(
            el(
                "rect",
                x=f"{start}%",
                width=f"{_width(start, begun)}%",
                y=9,
                height=6,
                class_="queued",
            )
        )
    shapes.append(_rect(begun, max(end, begun), bar.end))
    if bar.paused_until is not None:
        until = axis.place(bar.paused_until)
        shapes.append(el("line", x1=f"{end}%", x2=f"{until}%", y1=12, y2=12, class_="gap"))
    if last and (mark := _MARKS[bar.end]):
        shapes.append(
            el("text", mark, x=f"{end}%", y=16, dx=4, class_=f"mark {bar.end.name.lower()}")
        )
    return shapes


def _drawn_until(bar: Bar, seen_at: datetime) -> datetime:
    if bar.until is not None:
        return bar.until
    if bar.fires_at is not None and bar.end is End.UNFIRED:
        return bar.fires_at
    return max(seen_at, bar.at)


def _rect(start: float, end: float, how: End) -> Html:
    return el(
        "rect",
        x=f"{start}%",
        width=f"{_width(start, end)}%",
        y=5,
        height=14,
        rx=2,
        class_=f"bar {how.name.lower()}",
        fill="url(#hatch)" if how is End.FAILED else None,
    )


def _width(start: float, end: float) -> float:
    return round(end - start, 2)


def _tips(lane: Lane, seen_at: datetime) -> list[Child]:
    tips: list[Child] = [el("span", f"{lane.sort.value} {lane.name}", class_="head")]
    for number, bar in enumerate(lane.bars[:_TIPS_MAX], start=1):
        attempt = f"{number}. " if len(lane.bars) > 1 else ""
        until = _clock(bar.until) if bar.until else "now"
        took = lasting(((bar.until or seen_at) - bar.at).total_seconds())
        tips.append(el("span", f"{attempt}{_clock(bar.at)} – {until}, {took}, {bar.end}"))
    if len(lane.bars) > _TIPS_MAX:
        tips.append(el("span", f"and {len(lane.bars) - _TIPS_MAX} more"))
    return tips


def _clock(at: datetime) -> str:
    return iso(at)[11:-1]


def _scale(ticks: Sequence[Tick]) -> Html:
    labels = [
        el(
            "text",
            tick.label,
            x=f"{tick.place}%",
            y=14,
            text_anchor="start" if tick.place == 0 else "end" if tick.place > 95 else "middle",  # noqa: PLR2004 - per cent
        )
        for tick in ticks
    ]
    words = f"Time since the start; the marks are at {', '.join(t.label for t in ticks)}."
    return el(
        "div",
        el("span", "since the start", class_="what"),
        el("span", el("svg", labels, role="img", aria_label=words), class_="track"),
        el("span", class_="how"),
        class_="scale",
    )


def _patterns() -> Html:
    hatch = el(
        "pattern",
        el("rect", width=6, height=6, class_="hatch-ground"),
        el("path", d="M-1 1 2 -2M0 6 6 0M4 8 8 4", class_="hatch-lines"),
        id="hatch",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )
    return el("svg", el("defs", hatch), class_="patterns", aria_hidden="true", width=0, height=0)
