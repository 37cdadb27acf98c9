"""Checkpoints: bit for bit, whole or not at all, and noticed where they are damaged."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import mlx.core as mx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import errors
from engine.errors import UserError
from engine.grpo import checkpoint

_ARRAYS = {
    "layers.0.weight": mx.random.normal((3, 5), key=mx.random.key(0)),
    "half": mx.random.normal((7,), key=mx.random.key(1)).astype(mx.bfloat16),
    "float16": mx.array([1.0, -0.0, 65504.0], mx.float16),
    "not numbers": mx.array([math.nan, math.inf, -math.inf]),
    "step": mx.array(2**53 + 1, mx.uint64),
    "key": mx.random.key(2**31 - 1),
    "rate": mx.array(1e-6),
    "none": mx.zeros((0, 4)),
}


def _same(one: mx.array, other: mx.array) -> bool:
    views = [array.reshape(-1).view(mx.uint8) for array in (one, other)]
    return one.dtype == other.dtype and one.shape == other.shape and mx.array_equal(*views).item() is True


def _save(checkpoints: Path, step: int, value: float = 0.0) -> Path:
    return checkpoint.save(checkpoints, step, {"adapters": {"a": mx.full((4,), value)}}, {"cursor": step})


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_array_comes_back_bit_for_bit(tmp_path: Path) -> None:
    tensors = {"adapters": _ARRAYS, "optimizer": {"m": mx.arange(3)}, "empty": {}}
    folder = checkpoint.save(tmp_path / "checkpoints", 12, tensors, {}, {"adapter_config.json": b"{}\n"})

    loaded = checkpoint.load(folder)

    assert folder == tmp_path / "checkpoints" / "000012"
    assert _names(folder) == [
        "adapter_config.json",
        "adapters.safetensors",
        "empty.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    assert loaded.step == 12
    assert loaded.tensors.keys() == tensors.keys()
    for name, arrays in tensors.items():
        assert loaded.tensors[name].keys() == arrays.keys()
        assert all(_same(array, loaded.tensors[name][key]) for key, array in arrays.items())
    assert (folder / "adapter_config.json").read_bytes() == b"{}\n"


def test_files_do_not_depend_on_the_order_of_names(tmp_path: Path) -> None:
    one = checkpoint.save(tmp_path / "one", 1, {"adapters": _ARRAYS}, {})
    other = checkpoint.save(tmp_path / "other", 1, {"adapters": dict(reversed(_ARRAYS.items()))}, {})

    assert (one / "adapters.safetensors").read_bytes() == (other / "adapters.safetensors").read_bytes()
    assert mx.load(str(one / "adapters.safetensors"), return_metadata=True)[1] == {"format": "mlx"}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(state=st.dictionaries(st.text(), _JSON, max_size=4))
def test_the_state_comes_back(tmp_path_factory: pytest.TempPathFactory, state: dict[str, object]) -> None:
    folder = checkpoint.save(tmp_path_factory.mktemp("run"), 0, {}, state)

    assert checkpoint.load(folder).state == state
    assert str(checkpoint.load(folder).state) == str(state)


def test_text_that_has_no_utf8_is_kept(tmp_path: Path) -> None:
    state = {"prompt": "half a pair: \ud83d", "spread": math.inf}

    assert checkpoint.load(checkpoint.save(tmp_path, 1, {}, state)).state == state


@pytest.mark.parametrize("file", ["adapters.safetensors", "adapter_config.json", "state.json"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
def test_a_damaged_checkpoint_is_noticed_and_passed_over(tmp_path: Path, file: str, damage: str) -> None:
    whole = _save(tmp_path, 5)
    arrays = {"a": mx.arange(100)}
    newest = checkpoint.save(tmp_path, 10, {"adapters": arrays}, {"rows": 10}, {"adapter_config.json": b"{1234}"})
    content = bytearray((newest / file).read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "gone":
        (newest / file).unlink()
    else:
        (newest / file).write_bytes(content if damage == "flipped" else content[: len(content) // 2])

    with pytest.raises(UserError, match="damaged") as raised:
        checkpoint.load(newest)
    found, notes = checkpoint.latest(tmp_path)

    assert file in raised.value.why
    assert found == whole
    assert len(notes) == 1
    assert str(newest) in notes[0].text


def test_there_may_be_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path / "checkpoints") == (None, ())
    checkpoint.prune(tmp_path / "checkpoints", 1, None)
    checkpoint.remove_after(tmp_path / "checkpoints", 0)


def test_steps_are_numbers_not_words(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000, 20):
        _save(tmp_path, step)
    (tmp_path / "notes").mkdir()

    assert checkpoint.latest(tmp_path) == (tmp_path / "1000000", ())


@settings(deadline=None)
@given(steps=st.sets(st.integers(0, 10**7), max_size=8), keep=st.integers(1, 9), best=st.none() | st.integers(0, 10**7))
def test_pruning_keeps_the_newest_and_the_best(
    tmp_path_factory: pytest.TempPathFactory, steps: set[int], keep: int, best: int | None
) -> None:
    checkpoints = tmp_path_factory.mktemp("checkpoints")
    for step in steps:
        checkpoint.folder_of(checkpoints, step).mkdir()
    best = min(steps, default=None) if best is not None and best % 2 else best

    checkpoint.prune(checkpoints, keep, best)

    assert {int(path.name) for path in checkpoints.iterdir()} == set(sorted(steps)[-keep:]) | (steps & {best})


def test_later_checkpoints_are_removed_for_a_new_future(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        _save(tmp_path, step)

    checkpoint.remove_after(tmp_path, 10)

    assert _names(tmp_path) == ["000005", "000010"]


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    _save(tmp_path, 5, 1.0)
    folder = _save(tmp_path, 5, 2.0)

    assert checkpoint.load(folder).tensors["adapters"]["a"].tolist() == [2.0] * 4
    assert _names(tmp_path) == ["000005"]


def test_leftovers_of_a_process_that_died_are_cleared(tmp_path: Path) -> None:
    _save(tmp_path, 5)
    (tmp_path / ".000010.partial").mkdir()
    (tmp_path / ".000010.partial" / "adapters.safetensors").write_bytes(b"half")
    _save(tmp_path, 7).rename(tmp_path / ".000007.replaced")

    assert checkpoint.latest(tmp_path)[0] == tmp_path / "000007"
    assert _names(tmp_path) == ["000005", "000007"]


_CHILD = """
    import resource, signal, sys
    from pathlib import Path
    from engine import backend
    backend.prepare()
    import mlx.core as mx
    from engine.grpo import checkpoint
    checkpoints = Path(sys.argv[1])
"""


def _child(program: str, checkpoints: Path) -> subprocess.CompletedProcess[str]:
    text = textwrap.dedent(_CHILD) + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", text, str(checkpoints)], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_file_that_cannot_grow_leaves_earlier_checkpoints_alone(tmp_path: Path) -> None:
    _save(tmp_path, 5)

    child = _child(
        """
        from engine.errors import UserError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            checkpoint.save(checkpoints, 10, {"adapters": {"a": mx.zeros((100_000,))}}, {})
        except UserError as error:
            print(error.what, error.why, error.remedy)
        """,
        tmp_path,
    )

    assert "File too large" in child.stdout, child.stderr
    assert "000010" in child.stdout
    assert _names(tmp_path) == ["000005"]
    assert checkpoint.load(tmp_path / "000005").step == 5


def test_a_full_disk_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full is the system's own full disk; the file under its final name is a link to it."""
    if not Path("/dev/full").exists():
        pytest.skip("the system has no /dev/full")
    earlier = _save(tmp_path, 5)
    opened = Path.open

    def full(path: Path, mode: str = "r", *rest: object) -> object:
        return opened(Path("/dev/full"), "wb") if path.suffix == ".safetensors" else opened(path, mode, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", full)
        with pytest.raises(UserError) as raised:
            checkpoint.save(tmp_path, 10, {"adapters": {"a": mx.zeros((100_000,))}}, {})

    assert raised.value.what == "The disk is full."
    assert "000010" in raised.value.why
    assert _names(tmp_path) == ["000005"]
    assert checkpoint.latest(tmp_path) == (earlier, ())


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="mounting a small disk needs the root of Linux")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        earlier = _save(disk, 5)
        for size in (1_000_000, 60_000):  # far too much, and too much for what follows it only
            arrays = {"adapters": {"a": mx.zeros((size,))}, "optimizer": {"m": mx.zeros((size // 10,))}}
            with pytest.raises(UserError, match=r"^The disk is full\.$"):
                checkpoint.save(disk, 10, arrays, {})
            assert _names(disk) == ["000005"]
        assert checkpoint.latest(disk) == (earlier, ())
        assert _save(disk, 15).is_dir()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_error_of_ours_leaves_no_folder_and_is_not_dressed_up(tmp_path: Path) -> None:
    _save(tmp_path, 5)

    with pytest.raises(TypeError):
        checkpoint.save(tmp_path, 10, {}, {"array": mx.zeros((1,))})

    assert _names(tmp_path) == ["000005"]


def test_a_folder_that_may_not_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file")

    with pytest.raises(UserError) as raised:
        checkpoint.save(tmp_path / "checkpoints", 1, {}, {})

    assert errors.failed(raised.value).fault == "input"


def test_killed_at_any_moment_the_newest_checkpoint_is_whole(tmp_path: Path) -> None:
    """The child says which step it has saved, and saves the same step over and over as well."""
    program = textwrap.dedent(_CHILD) + textwrap.dedent(
        """
        for step in range(1, 10**6):
            for value in (0, 1):
                checkpoint.save(checkpoints, step, {"adapters": {"a": mx.full((50_000,), value)}}, {"step": step})
            checkpoint.prune(checkpoints, 2, 1)
            print(step, flush=True)
        """
    )
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            said = [int(child.stdout.readline()) for _ in range(4)]
            child.send_signal(signal.SIGKILL)
            said += [int(line) for line in child.stdout.read().split()]
        folder, notes = checkpoint.latest(tmp_path)
        assert notes == ()
        assert folder is not None
        assert checkpoint.load(folder).state["step"] >= said[-1]
        assert not [name for name in _names(tmp_path) if name.startswith(".")]
        checkpoint.remove_after(tmp_path, 0)


_DEATHS = """
    import os
    armed = False
    left = 0

    def die(event, arguments):
        global left
        if armed and (event == "open" or event.startswith(("os.", "shutil."))):
            left -= 1
            if left == 0:
                os._exit(9)

    sys.addaudithook(die)
    for moment in range(1, 200):
        for old in (5, 10):
            checkpoint.save(checkpoints, old, {}, {"age": "old"}, {"extra": b"old"})
        process = os.fork()
        if process == 0:
            armed, left = True, moment
            checkpoint.save(checkpoints, 10, {}, {"age": "new"}, {"extra": b"new"})
            checkpoint.prune(checkpoints, 1, None)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        folder, notes = checkpoint.latest(checkpoints)
        assert folder is not None and not notes, (moment, notes)
        loaded = checkpoint.load(folder)
        assert loaded.step == 10, moment
        age = loaded.state["age"]
        assert (folder / "extra").read_bytes() == age.encode()
        assert code == 9 or age == "new"
        assert {path.name for path in checkpoints.iterdir()} <= {"000005", "000010"}, moment
        if code == 0:
            print(moment)
            break
"""


def test_death_at_any_operation_loses_neither_the_old_nor_the_new(tmp_path: Path) -> None:
    """A child dies before the first, second, third... thing it asks of the disk while it saves and prunes."""
    child = _child(_DEATHS, tmp_path)

    assert child.returncode == 0, child.stderr
    assert int(child.stdout) > 15


def test_the_state_file_is_plain_json(tmp_path: Path) -> None:
    document = json.loads((_save(tmp_path, 5) / "state.json").read_text("utf-8"))

    assert document["step"] == 5
    assert document["state"] == {"cursor": 5}
    assert document["files"].keys() == {"adapters.safetensors"}


def test_a_checkpoint_is_given_another_state_and_stays_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _save(tmp_path, 3)
    before = _names(folder)
    content = (folder / "state.json").read_bytes()
    checkpoint.restate(folder, {"cursor": 3})
    assert (folder / "state.json").read_bytes() == content
    monkeypatch.setattr(os, "fsync", _no_room)
    with pytest.raises(UserError):
        checkpoint.restate(folder, {"cursor": 4})
    monkeypatch.undo()
    assert (folder / "state.json").read_bytes() == content
    checkpoint.restate(folder, {"cursor": 4})
    assert checkpoint.latest(tmp_path) == (folder, ())
    assert checkpoint.state_of(folder) == (3, {"cursor": 4})
    assert _names(folder) == before


def _no_room(_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_last_step_is_that_of_the_newest(tmp_path: Path) -> None:
    assert checkpoint.last_step(tmp_path / "none") == 0
    for step in (12, 4):
        _save(tmp_path, step)
    assert checkpoint.last_step(tmp_path) == 12
