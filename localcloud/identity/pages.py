"""The pages that people see: signing in, registering, signing out, and what went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from localcloud.dashboard.markup import Child, Html, el, join
from localcloud.identity.directory import Application, Person
from localcloud.identity.people import ADDRESS_LENGTH, NAME_LENGTH, PASSWORD_LENGTHS

STYLE: Final = "/static/identity.css"
ICON: Final = "/static/identity.svg"

_ROLES: Final = {
    "customer-service": "Customer service",
    "order-manager": "Order manager",
    "admin": "Administrator",
}


@dataclass(frozen=True)
class Entered:
    """What somebody wrote into a form, and what is wrong with it, by field."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


def sign_in(
    client: Application,
    people: Sequence[Person],
    entered: Entered,
    *,
    present: Person | None,
    register_at: str | None,
) -> Html:
    """Who to be: somebody already signed in here, a demo person, or somebody with a password."""
    return _document(
        "Sign in",
        el("h1", "Sign in"),
        el("p", "to continue to ", el("strong", client.name), class_="to"),
        _alert(entered),
        _present(present) if present else None,
        el(
            "section",
            el("h2", "Demo people", id="demo"),
            el("ul", [el("li", _one_click(person)) for person in people], class_="people"),
            aria_labelledby="demo",
        ),
        el(
            "section",
            el("h2", "With an account", id="own"),
            _form(
                _field(
                    entered,
                    "username",
                    "E-mail",
                    type="email",
                    autocomplete="username",
                    maxlength=ADDRESS_LENGTH,
                ),
                _field(
                    entered,
                    "password",
                    "Password",
                    type="password",
                    autocomplete="current-password",
                    maxlength=PASSWORD_LENGTHS.stop,
                ),
                el("button", "Sign in", type="submit", class_="primary"),
            ),
            aria_labelledby="own",
        ),
        el("p", "New here? ", el("a", "Create an account", href=register_at))
        if register_at
        else None,
        wrong=bool(entered.errors),
    )


def register(client: Application, entered: Entered, *, sign_in_at: str) -> Html:
    """A form for who has no account yet."""
    return _document(
        "Create an account",
        el("h1", "Create an account"),
        el("p", "to continue to ", el("strong", client.name), class_="to"),
        _alert(entered),
        _form(
            _field(
                entered, "name", "Name", type="text", autocomplete="name", maxlength=NAME_LENGTH
            ),
            _field(
                entered,
                "username",
                "E-mail",
                type="email",
                autocomplete="email",
                maxlength=ADDRESS_LENGTH,
            ),
            _field(
                entered,
                "password",
                "Password",
                f"At least {PASSWORD_LENGTHS.start} characters",
                type="password",
                autocomplete="new-password",
                minlength=PASSWORD_LENGTHS.start,
                maxlength=PASSWORD_LENGTHS.stop - 1,
            ),
            el("button", "Create account", type="submit", class_="primary"),
        ),
        el("p", "Have an account? ", el("a", "Sign in", href=sign_in_at)),
        wrong=bool(entered.errors),
    )


def ask_sign_out(person: Person) -> Html:
    """Asked when no application vouches that the person wants it."""
    return _document(
        "Sign out",
        el("h1", "Sign out?"),
        el("p", "You are signed in as ", el("strong", person.name), ".", class_="to"),
        _form(el("button", "Sign out", type="submit", class_="primary")),
    )


def signed_out() -> Html:
    """Nobody is signed in in this browser."""
    return _document(
        "Signed out",
        el("h1", "You are signed out"),
        el("p", "You can close this page.", class_="to"),
    )


def problem(code: str, message: str) -> Html:
    """A request that no application can be told about."""
    return _document(
        "Sorry",
        el("h1", "We cannot sign you in"),
        el("p", message, class_="alert", role="alert"),
        el("p", "Go back to the application and try again. Its developer may need this: ", code),
    )


def _document(title: str, *content: Child, wrong: bool = False) -> Html:
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{'Error: ' if wrong else ''}{title} – local identity"),
        el("link", rel="icon", href=ICON, type="image/svg+xml"),
        el("link", rel="stylesheet", href=STYLE),
    )
    note = "This sign-in exists on this machine only. The password of every demo person is "
    body = el(
        "body",
        el("main", el("div", content, class_="card")),
        el("footer", el("p", note, el("code", "demo"), ".")),
    )
    return join(Html("<!doctype html>"), el("html", head, body, lang="en"))


def _form(*content: Child) -> Html:
    """Posted to the page's own address, which carries what the application asked for."""
    return el("form", content, method="post", novalidate=True)


def _present(person: Person) -> Html:
    return el(
        "section",
        el("h2", "Signed in", id="present"),
        _form(
            el("input", type="hidden", name="account", value=person.oid),
            _card(person, f"Continue as {person.name}"),
        ),
        aria_labelledby="present",
    )


def _one_click(person: Person) -> Html:
    return _form(
        el("input", type="hidden", name="person", value=person.key), _card(person, person.name)
    )


def _card(person: Person, title: str) -> Html:
    roles = ", ".join(_ROLES[role] for role in person.roles)
    initials = "".join(word[0] for word in person.name.split()[:2]).upper()
    return el(
        "button",
        el("span", initials, class_="initials", aria_hidden="true"),
        el(
            "span",
            el("span", title, class_="name"),
            " ",
            el("span", person.username, class_="address"),
            class_="who",
        ),
        [" ", el("span", roles, class_="role")] if roles else None,
        type="submit",
        class_="person",
    )


def _alert(entered: Entered) -> Html | None:
    if not entered.errors:
        return None
    said = [el("p", message) for name, message in entered.errors.items() if not name]
    return el(
        "div",
        said or el("p", "Please check what is marked below."),
        class_="alert",
        role="alert",
    )


def _field(
    entered: Entered, name: str, label: str, hint: str | None = None, **attributes: str | int
) -> Html:
    """A labelled input with its error and hint, tied together for screen readers."""
    wrong = entered.errors.get(name)
    notes = [
        el("span", text, id=f"{name}-{kind}", class_=kind)
        for kind, text in (("hint", hint), ("error", wrong))
        if text
    ]
    ids = [f"{name}-{kind}" for kind, text in (("hint", hint), ("error", wrong)) if text]
    field_ = el(
        "input",
        id=name,
        name=name,
        value=None if name == "password" else entered.values.get(name),
        required=True,
        aria_invalid="true" if wrong is not None else None,
        aria_describedby=" ".join(ids) or None,
        autofocus=name == next(filter(None, entered.errors), None),
        **attributes,
    )
    return el("div", el("label", label, for_=name), field_, notes, class_="field")
