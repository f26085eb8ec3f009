"""The style sheet's colours by WCAG 2.2, and the script's grammar."""

import re
import subprocess

import pytest

from localcloud.dashboard.app import STATIC
from localcloud.node import NODE

CSS = (STATIC / "dashboard.css").read_text()
TEXT = [
    *(
        (name, ground)
        for name in ("text", "muted", "link", "bad")
        for ground in ("ground", "surface")
    ),
    *((name, f"{name}-ground") for name in ("good", "bad", "busy", "still")),
    ("text", "bad-ground"),
]
SHAPES = [
    (name, "surface")
    for name in ("activity", "child", "timer", "event", "entity", "rest", "bad", "strong-line")
]


def colours(scheme: str) -> dict[str, str]:
    """The colours of a scheme by their names."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", {"light": light, "dark": dark}[scheme]))


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), TEXT)
def test_text_has_the_contrast_of_level_aa(scheme: str, ink: str, paper: str) -> None:
    found = colours(scheme)
    assert contrast(found[ink], found[paper]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("ink", "paper"), SHAPES)
def test_shapes_have_the_contrast_of_level_aa(scheme: str, ink: str, paper: str) -> None:
    found = colours(scheme)
    assert contrast(found[ink], found[paper]) >= 3


def test_both_schemes_have_the_same_colours() -> None:
    assert colours("light").keys() == colours("dark").keys()


@pytest.mark.parametrize("name", ["dashboard.css", "dashboard.js", "icon.svg"])
def test_nothing_is_fetched_from_elsewhere(name: str) -> None:
    text = (STATIC / name).read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?:|//[a-z]+\.|@import|@font-face", text)


def test_the_script_is_javascript() -> None:
    subprocess.run([NODE, "--check", STATIC / "dashboard.js"], check=True)
