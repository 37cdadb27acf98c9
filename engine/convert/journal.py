"""Remembers half-made folders across a sudden death, so that the next start removes them. Knows no model.

A folder that is being made is noted in a small file of its own before its first byte is written.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import places, processes

# Where a folder that is being replaced waits until the new one is in its place.
REPLACED = "replaced"


@contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """A new folder beside `output`, on the same disk, to be filled and renamed; gone afterwards whatever happens.

    Raises:
        OSError: the folder cannot be made there.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    notes = places.unfinished_folder()
    notes.mkdir(parents=True, exist_ok=True)
    name = secrets.token_hex(8)
    # Cut, since a name may be as long as the disk allows already.
    folder = output.parent / f".{output.name[:40]}.{name}.partial"
    note = notes / f"{name}.json"
    # Renamed when whole, so that a sweep of another process never reads half of it.
    half = note.with_suffix(".tmp")
    noted = json.dumps({"folder": str(folder), "output": str(output), "process": processes.identity(os.getpid())})
    half.write_text(noted, "utf-8")
    half.replace(note)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        note.unlink(missing_ok=True)


def sweep() -> int:
    """Remove what processes that are gone left half-made; how many folders that were."""
    removed = 0
    for note in places.unfinished_folder().glob("*.json"):
        try:
            noted = json.loads(note.read_text("utf-8"))
            folder, output, writer = Path(noted["folder"]), Path(noted["output"]), str(noted["process"])
        except (OSError, ValueError, KeyError, TypeError):
            folder, output, writer = None, None, ""
        number = writer.partition(" ")[0]
        if number.isdecimal() and processes.identity(int(number)) == writer:
            continue
        if folder and output and (folder / REPLACED).is_dir() and not output.exists():
            # Death came between taking the old result away and putting the new one in its place.
            (folder / REPLACED).rename(output)
        if folder is not None and folder.name.endswith(".partial") and folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        note.unlink(missing_ok=True)
    return removed
