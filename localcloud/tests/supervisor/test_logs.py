from pathlib import Path

from localcloud import logs


def test_an_overlong_log_moves_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    with logs.open_log(file) as writer:
        writer.write(b"old\n" * 10)
        writer.flush()
        logs.rotate(file, size_max=39)
        writer.write(b"new\n")
    assert file.read_text() == "new\n"
    assert (tmp_path / "part.log.1").read_text() == "old\n" * 10


def test_only_the_newest_rotated_log_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    for text in ("first\n", "second\n"):
        with logs.open_log(file) as writer:
            writer.write(text.encode())
        logs.rotate(file, size_max=1)
    assert (tmp_path / "part.log.1").read_text() == "second\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.log", "part.log.1"]


def test_a_short_log_and_a_missing_one_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    logs.rotate(file)
    file.write_text("short\n")
    logs.rotate(file)
    assert [path.name for path in tmp_path.iterdir()] == ["part.log"]


def test_the_last_lines_come_oldest_first(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    file.write_text("one\ntwo\nthree\n")
    assert logs.last_lines(file, 2) == ["two", "three"]
    assert logs.last_lines(tmp_path / "missing.log", 2) == []


def test_following_yields_the_new_lines_of_every_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    first.write_text("before\n")
    lines = logs.follow([first, second])
    with first.open("a") as writer:
        writer.write("after\nunfinished")
    second.write_text("from the start\n")
    assert next(lines) == (first, "after")
    assert next(lines) == (second, "from the start")
    with first.open("a") as writer:
        writer.write(" but now\n")
    assert next(lines) == (first, "unfinished but now")


def test_following_survives_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "part.log"
    file.write_text("a long line before\n")
    lines = logs.follow([file])
    file.write_text("new\n")
    assert next(lines) == (file, "new")
