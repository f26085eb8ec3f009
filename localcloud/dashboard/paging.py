"""Cuts what is at hand as a whole into pages, with links to the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localcloud.dashboard.markup import Child, el


@dataclass(frozen=True, slots=True)
class Paged[T]:
    """One page; `first` is the number of its first item, counting from 1."""

    items: Sequence[T]
    first: int
    links: Child


def paged[T](everything: Sequence[T], size: int, page: int, url: Callable[[int], str]) -> Paged[T]:
    """A page of `size` items, the last one for a number too high; no links when it is the only."""
    pages = max(-(-len(everything) // size), 1)
    page = min(max(page, 1), pages)
    begin = (page - 1) * size
    items = everything[begin : begin + size]
    if pages == 1:
        return Paged(items, 1, None)
    links: list[Child] = [el("span", f"{begin + 1}–{begin + len(items)} of {len(everything)}")]
    if page > 1:
        links += [
            el("a", "First", href=url(1)),
            el("a", "Previous", href=url(page - 1), rel="prev"),
        ]
    if page < pages:
        links += [
            el("a", "Next", href=url(page + 1), rel="next"),
            el("a", "Last", href=url(pages)),
        ]
    return Paged(items, begin + 1, el("nav", links, class_="pager", aria_label="Pages"))
