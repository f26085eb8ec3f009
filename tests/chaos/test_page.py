"""The page about the crash matrix is about the matrix that the code has."""

from tests.chaos.page import PAGE, combinations, written


def test_the_page_names_exactly_the_combinations_of_the_code() -> None:
    assert written(PAGE.read_text()) == combinations()
