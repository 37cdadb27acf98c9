"""Notes and tags of runs; runs that are put aside, brought back, and deleted for good."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import places
from engine.errors import UserError
from engine.grpo import run_names
from engine.monitor import keeping, runs
from engine.run_events import RunFound, RunMoved
from tests.engine.monitor.run_folders import copied, started, step, trained, training, written


def aside(folder: Path) -> Path:
    (event,) = keeping.put_aside([folder])
    assert isinstance(event, RunMoved)
    assert event.folder == str(folder)
    return Path(event.now)


def back(folder: Path) -> Path:
    (event,) = keeping.bring_back([folder])
    assert isinstance(event, RunMoved)
    return Path(event.now)


def names(folder: Path) -> list[str]:
    return [event.name for event in runs.found([str(folder)]) if isinstance(event, RunFound)]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ended() -> int:
    """The number of a process that is no more."""
    return int(subprocess.check_output([sys.executable, "-c", "import os; print(os.getpid())"]))


def let_go(hidden: Path) -> None:
    """As if the program that put it aside were gone."""
    mark = hidden / ".deleted"
    mark.write_text(mark.read_text().replace(str(os.getpid()), str(ended())))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(), st.lists(st.text(), max_size=4))
def test_notes_come_back_as_they_were(tmp_path: Path, notes: str, tags: list[str]) -> None:
    folder = tmp_path / "run"
    if not folder.exists():
        written(folder, started())
    keeping.write_notes(folder, notes, tags)
    document = json.loads((folder / "notes.json").read_text("utf-8"))
    assert (document["notes"], document["tags"]) == (notes, tags)


def test_what_a_newer_version_keeps_beside_the_notes_stays(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started())
    (folder / "notes.json").write_text('{"notes": "old", "stars": 5}')
    keeping.write_notes(folder, "new", ["a"])
    assert json.loads((folder / "notes.json").read_text()) == {"notes": "new", "tags": ["a"], "stars": 5}


def test_damaged_notes_are_kept_beside_the_new_ones(tmp_path: Path) -> None:
    folder = written(tmp_path / "run", started())
    (folder / "notes.json").write_text('{"notes": "half')
    keeping.write_notes(folder, "new", [])
    assert (folder / "notes.json.damaged").read_text() == '{"notes": "half'
    assert runs.look(folder).notes == "new"


def test_notes_of_a_run_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        keeping.write_notes(tmp_path / "gone", "text", [])
    assert not (tmp_path / "gone").exists()


def test_a_full_disk_leaves_the_old_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "run", started())
    keeping.write_notes(folder, "old", [])

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="disk is full"):
        keeping.write_notes(folder, "new", [])
    assert runs.look(folder).notes == "old"
    assert sorted(path.name for path in folder.iterdir()) == ["config.toml", "events.jsonl", "notes.json"]


def test_a_run_is_deleted_and_brought_back(tmp_path: Path) -> None:
    folder = trained(tmp_path, "kept", max_steps=1, eval_samples=0)
    before = content(folder)
    hidden = aside(folder)
    assert hidden == tmp_path / ".kept.deleted"
    assert names(tmp_path) == []
    assert back(hidden) == folder
    assert content(folder) == before
    assert names(tmp_path) == ["kept"]


def test_a_run_that_was_put_aside_is_offered_to_nobody(tmp_path: Path) -> None:
    aside(written(tmp_path / "gone", started()))
    written(tmp_path / "there", started())
    assert run_names.unknown("x", tmp_path).remedy == "Known runs: there."


def test_a_new_run_of_the_same_name_is_not_written_over(tmp_path: Path) -> None:
    hidden = aside(written(tmp_path / "run", started(), step(1)))
    new = written(tmp_path / "run", started())
    assert back(hidden) == tmp_path / "run-restored"
    assert runs.look(new).step == 0
    assert runs.look(tmp_path / "run-restored").step == 1


def test_several_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    hidden = [aside(written(tmp_path / "run", started(), step(number))) for number in (1, 2, 3)]
    assert [path.name for path in hidden] == [".run.deleted", ".run.deleted-2", ".run.deleted-3"]
    assert runs.look(back(hidden[1])).step == 2
    assert back(hidden[2]).name == "run-restored"


@pytest.mark.parametrize("name", ["run.deleted", "run.deleted-2", ".run", "ein lauf", "跑", "a\nb"])
def test_any_name_comes_back(tmp_path: Path, name: str) -> None:
    folder = written(tmp_path / name, started())
    assert back(aside(folder)) == folder


def test_a_run_that_trains_is_refused(tmp_path: Path) -> None:
    with training(tmp_path) as folder:
        with pytest.raises(UserError, match="trains just now"):
            list(keeping.put_aside([folder]))
        assert names(tmp_path) == ["live"]
    aside(folder)
    assert names(tmp_path) == []


def test_a_run_that_begins_to_train_at_this_moment_is_refused(tmp_path: Path) -> None:
    import fcntl

    folder = written(tmp_path / "run", started())
    (folder / ".lock").write_text("")  # no process has written itself down yet
    with (folder / ".lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="trains just now"):
            list(keeping.put_aside([folder]))
    assert folder.is_dir()


def test_one_that_trains_keeps_the_others_from_nothing(tmp_path: Path) -> None:
    folders = [written(tmp_path / name, started(), step(1), age=0 if name == "b" else 3600) for name in "abc"]
    moved = []
    with pytest.raises(UserError, match="The run b trains just now"):
        moved.extend(event.folder for event in keeping.put_aside(folders) if isinstance(event, RunMoved))
    assert names(tmp_path) == ["b"]
    with pytest.raises(UserError, match="cannot be brought back"):
        list(keeping.bring_back([tmp_path / ".x.deleted", *(tmp_path / f".{name}.deleted" for name in "ac")]))
    assert sorted(names(tmp_path)) == ["a", "b", "c"]


@pytest.mark.parametrize("make", [False, True])
def test_what_is_no_run_is_not_moved(tmp_path: Path, make: bool) -> None:
    folder = tmp_path / "documents"
    if make:
        folder.mkdir()
    with pytest.raises(UserError, match="no run"):
        list(keeping.put_aside([folder]))
    with pytest.raises(UserError, match="cannot be brought back"):
        list(keeping.bring_back([tmp_path / ".documents.deleted"]))
    assert folder.exists() == make


def test_only_what_was_put_aside_is_deleted_for_good(tmp_path: Path) -> None:
    kept = written(tmp_path / "kept", started())
    own = tmp_path / ".mine.deleted"
    own.mkdir()
    (own / "diary.txt").write_text("dear diary")
    hidden = aside(written(tmp_path / "gone", started()))
    assert list(keeping.purge([str(tmp_path)])) == []
    assert hidden.exists(), "this program may still bring it back"
    let_go(hidden)
    assert list(keeping.purge([str(tmp_path)])) == [RunMoved(str(tmp_path / "gone"), "")]
    assert sorted(path.name for path in tmp_path.iterdir()) == [own.name, kept.name]
    assert (own / "diary.txt").exists()


def test_after_an_hour_it_goes_whoever_put_it_aside(tmp_path: Path) -> None:
    hidden = aside(written(tmp_path / "gone", started()))
    os.utime(hidden / ".deleted", (1, 1))
    list(keeping.purge([str(tmp_path)]))
    assert list(tmp_path.iterdir()) == []


def test_the_programs_own_folder_and_a_run_named_by_itself(tmp_path: Path) -> None:
    mine = aside(written(places.runs_folder() / "mine", started()))
    named = aside(written(tmp_path / "named", started()))
    other = aside(written(tmp_path / "other", started()))
    for hidden in (mine, named, other):
        let_go(hidden)
    list(keeping.purge([str(tmp_path / "named"), "/nowhere/at/all", "~nobody-here"]))
    assert [hidden.exists() for hidden in (mine, named, other)] == [False, False, True]


def test_links_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    real = written(elsewhere / "real", started())
    (elsewhere / "data").mkdir()
    (elsewhere / "data" / "precious.txt").write_text("precious")
    here = tmp_path / "runs"
    folder = written(here / "run", started())
    (folder / "data").symlink_to(elsewhere / "data")
    (here / "link").symlink_to(real)
    before = content(elsewhere)
    assert back(aside(here / "link")) == here / "link"
    hidden = aside(folder)
    link = aside(here / "link")
    assert real.is_dir()
    let_go(hidden)
    list(keeping.purge([str(here)]))
    assert not hidden.exists()
    assert link.is_symlink(), "it was moved just now"
    keeping._delete(link)
    assert content(elsewhere) == before
    assert list(here.iterdir()) == []


def test_what_was_deleted_by_half_is_deleted_the_next_time(tmp_path: Path) -> None:
    folder = trained(tmp_path, "run", max_steps=1, eval_samples=0)
    hidden = aside(folder)
    let_go(hidden)
    for name in ("config.toml", "events.jsonl"):
        (hidden / name).unlink()
    list(keeping.purge([str(tmp_path)]))
    assert list(tmp_path.iterdir()) == []


def test_a_copy_of_a_run_that_was_put_aside_once_is_listed(tmp_path: Path) -> None:
    hidden = aside(written(tmp_path / "run", started()))
    copied(hidden, tmp_path / "copy")
    assert names(tmp_path) == ["copy"]
    list(keeping.purge([str(tmp_path)]))
    assert names(tmp_path) == ["copy"]
