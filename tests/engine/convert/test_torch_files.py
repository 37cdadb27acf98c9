"""Torch files are read without running what is in them, and come out with every number as it was."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from engine.convert import safetensors_files, torch_files
from engine.convert.source import TensorInfo
from engine.errors import UserError
from engine.events import Event, Note, Progress
from tests.support.children import children, ends, runs
from tests.support.torch_child import TorchChild, torch_child

PROGRAM = "engine.convert.torch_process"
FILES = """
p = folder + "/"
torch.manual_seed(0)
w = torch.randn(20, 12)
torch.save({
    "plain": w, "turned": w.t(), "part": w[3:5], "lone": w[:1, 0], "tied": w, "half": w.half(), "brain": w.bfloat16(),
    "scalar": torch.tensor(3), "none": torch.zeros(0, 4), "mask": w > 0, "double": w.double(), "repeated":
    torch.ones(1).expand(5), "tiny": w.to(torch.float8_e4m3fn), "wide": w.to(torch.float8_e5m2),
    "parameter": torch.nn.Parameter(w + 1),
}, p + "all.bin")
torch.save({"state_dict": {"w": w, "step": 3}, "optimizer": {"w": w}}, p + "nested.pt")
torch.save({"model": {"module": {"w": w}}}, p + "deep.pt")
torch.save({"w": w, "tied": w}, p + "old.bin", _use_new_zipfile_serialization=False)
torch.save([w], p + "list.pt")
torch.save({"epoch": 3, "params": {"w": w}}, p + "none.pt")
itself = {}
itself["model"] = itself
torch.save(itself, p + "itself.pt")
torch.save({"w": w.to_sparse()}, p + "sparse.pt")
torch.save(torch.nn.Linear(2, 2), p + "module.pt")
torch.save({f"w{n}": torch.ones(1024, 1024) for n in range(40)}, p + "large.bin")
torch.jit.script(torch.nn.Linear(2, 2)).save(p + "script.pt")
"""


@pytest.fixture(scope="module")
def torch() -> Iterator[TorchChild]:
    with torch_child() as child:
        yield child


@pytest.fixture(scope="module")
def folder(torch: TorchChild, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    torch.run(FILES, folder=str(folder))
    whole = (folder / "all.bin").read_bytes()
    (folder / "cut.bin").write_bytes(whole[: len(whole) // 2])
    whole = (folder / "old.bin").read_bytes()
    (folder / "cut-old.bin").write_bytes(whole[: len(whole) // 2])
    (folder / "page.pt").write_text("<html>")
    (folder / "empty.pt").touch()
    with (
        zipfile.ZipFile(folder / "all.bin") as source,
        zipfile.ZipFile(folder / "packed.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    return folder


def result(steps: Generator[Event, None, list[Path]]) -> tuple[list[Path], list[Event]]:
    events = []
    while True:
        try:
            events.append(next(steps))
        except StopIteration as end:
            return end.value, events


def test_every_number_arrives(torch: TorchChild, folder: Path, tmp_path: Path) -> None:
    sources = [folder / name for name in ("all.bin", "packed.bin", "old.bin", "nested.pt", "deep.pt")]
    files, events = result(torch_files.rewrite(sources, tmp_path))
    assert [file.name for file in files] == [f"{source.stem}.safetensors" for source in sources]
    arrays: list[Any] = [mx.load(str(file)) for file in files]
    for file in files:
        safetensors_files.header(file)
    everything, packed, old, nested, deep = arrays
    plain = everything["plain"]
    theirs = torch.run("torch.manual_seed(0)\nresult = torch.randn(20, 12).tolist()")
    assert np.array_equal(np.array(plain), np.array(theirs, np.float32))
    expected = {
        "plain": plain,
        "turned": plain.T,
        "part": plain[3:5],
        "lone": plain[:1, 0],
        "tied": plain,
        "half": plain.astype(mx.float16),
        "brain": plain.astype(mx.bfloat16),
        "scalar": mx.array(3, mx.int64),
        "none": mx.zeros((0, 4)),
        "mask": plain > 0,
        "double": plain,
        "repeated": mx.ones(5),
        "parameter": plain + 1,
    }
    for name, array in expected.items():
        assert everything[name].dtype == array.dtype, name
        assert mx.array_equal(everything[name], array), name
    assert mx.allclose(mx.from_fp8(everything["tiny"], mx.float32), plain, rtol=0.07, atol=0.01)
    assert everything["wide"].dtype == mx.float16
    assert mx.allclose(everything["wide"].astype(mx.float32), plain, rtol=0.13, atol=0.01)
    assert everything.keys() == packed.keys()
    assert all(mx.array_equal(packed[name], array) for name, array in everything.items())
    assert mx.array_equal(old["w"], plain)
    assert mx.array_equal(old["tied"], plain)
    assert list(nested) == list(deep) == ["w"]
    assert mx.array_equal(nested["w"], plain)

    progress = [event for event in events if isinstance(event, Progress)]
    total = sum(source.stat().st_size for source in sources)
    assert {event.total for event in progress} == {total}
    assert [event.done for event in progress] == sorted(event.done for event in progress)
    assert progress[-1].done == total
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("double" in note and "all.bin" in note for note in notes)
    assert "Left out of nested.pt, being no weights: optimizer, step" in notes


def test_looking_reads_no_more_than_shapes(folder: Path) -> None:
    looked = torch_files.look_all([folder / "all.bin", folder / "nested.pt"])
    assert looked[folder / "nested.pt"] == {"w": TensorInfo((20, 12), "float32", 960)}
    everything = looked[folder / "all.bin"]
    assert everything["turned"] == TensorInfo((12, 20), "float32", 960)
    assert everything["brain"] == TensorInfo((20, 12), "bfloat16", 480)
    assert everything["tiny"].dtype == "float8_e4m3"
    assert everything["double"].dtype == "float64"
    assert everything["mask"].dtype == "bool"


class Runs:
    """Pickled, a call of a function on one string."""

    def __init__(self, function: Callable[[str], Any], argument: str) -> None:
        self.call = (function, (argument,))

    def __reduce__(self) -> Any:
        return self.call


def malicious(folder: Path, marker: Path, torch: TorchChild) -> dict[Path, str]:
    """Files that would make the marker when opened carelessly, with the name of what they want to run."""
    code = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    files: dict[Path, str] = {}
    for protocol in (0, 2):
        path = folder / f"plain{protocol}.bin"
        path.write_bytes(pickle.dumps({"w": Runs(os.system, f"touch {marker}")}, protocol))
        files[path] = "posix.system"
    path = folder / "eval4.pt"
    path.write_bytes(pickle.dumps({"w": Runs(eval, code)}, 4))
    files[path] = "builtins.eval"
    made = """
import pickle
class Runs:
    def __reduce__(self):
        return eval, (words,)
torch.save({"w": torch.ones(2), "x": Runs()}, folder + "/zipped.bin")
torch.save({"w": torch.ones(2), "x": Runs()}, folder + "/old.bin", _use_new_zipfile_serialization=False)
"""
    torch.run(made, folder=str(folder), words=code)
    return files | {folder / "zipped.bin": "eval", folder / "old.bin": "eval"}


def test_code_in_a_file_never_runs(torch: TorchChild, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    files = malicious(tmp_path, marker, torch)
    # Opened carelessly it does run, so that the marker's absence means something.
    pickle.loads((tmp_path / "eval4.pt").read_bytes())  # noqa: S301
    assert marker.exists()
    marker.unlink()
    for path, wanted in files.items():
        what, why, remedy = refusal(torch, path)
        assert not marker.exists(), path
        assert str(path) in what
        assert "dangerous" in what
        assert wanted in why
        assert "weights_only" not in what + why + remedy
    with pytest.raises(UserError, match="dangerous"):
        result(torch_files.rewrite([tmp_path / "zipped.bin"], tmp_path))
    assert not marker.exists()
    assert list(tmp_path.glob("*.safetensors")) == []


def refusal(torch: TorchChild, path: Path) -> list[str]:
    """What, why and remedy that the program says of a file, without starting it anew for each."""
    code = """
from engine.convert import torch_process
from engine.errors import UserError
try:
    torch_process.main({"files": [file]}, print)
except UserError as error:
    result = [error.what, error.why, error.remedy]
"""
    words: list[str] = torch.run(code, file=str(path))
    return words


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("module.pt", "torch.nn.modules.linear.Linear"),
        ("script.pt", "TorchScript"),
        ("cut.bin", "Its end is missing"),
        ("cut-old.bin", "damaged"),
        ("page.pt", "damaged or of another kind"),
        ("list.pt", "list"),
        ("none.pt", "epoch, params"),
        ("itself.pt", "holds no weights"),
        ("sparse.pt", "sparse"),
    ],
)
def test_what_cannot_be_read_is_refused(torch: TorchChild, folder: Path, name: str, says: str) -> None:
    what, why, remedy = refusal(torch, folder / name)
    assert name in what
    assert says in f"{what} {why}"
    assert remedy


def test_what_cannot_be_a_torch_file_is_refused_at_once(folder: Path) -> None:
    for name, says in [("empty.pt", "It is empty"), ("absent.pt", "is missing")]:
        with pytest.raises(UserError) as caught:
            torch_files.look(folder / name)
        assert says in f"{caught.value.what} {caught.value.why}"


def started(folder: Path, target: Path) -> tuple[Generator[Event, None, list[Path]], int]:
    """A rewriting that is half done, and its process."""
    steps = torch_files.rewrite([folder / "large.bin"], target)
    for event in steps:
        if isinstance(event, Progress) and event.done > 0:
            break
    (pid,) = [pid for pid, words in children().items() if PROGRAM in words]
    return steps, pid


def test_closing_ends_the_process_and_removes_its_files(folder: Path, tmp_path: Path) -> None:
    steps, pid = started(folder, tmp_path)
    assert list(tmp_path.iterdir())
    steps.close()
    assert not runs(pid, PROGRAM)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_is_an_error(folder: Path, tmp_path: Path) -> None:
    steps, pid = started(folder, tmp_path)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(UserError, match="ended from outside") as caught:
        result(steps)
    assert "signal 9" in caught.value.why
    assert list(tmp_path.iterdir()) == []


def test_the_process_ends_with_its_parent(folder: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from engine.convert import torch_files
steps = torch_files.rewrite([Path({str(folder / "large.bin")!r})], Path({str(tmp_path)!r}))
while not next(steps).done:
    pass
print("half", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "half\n"
        (pid,) = children(parent.pid)
        parent.kill()
    assert ends(pid, PROGRAM)


def test_a_full_disk_is_said(folder: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(UserError, match="disk is full"):
        result(torch_files.rewrite([folder / "nested.pt"], _full(folder)))


def _full(folder: Path) -> Path:
    place = folder / "full"
    place.mkdir()
    (place / "nested.safetensors").symlink_to("/dev/full")
    return place
