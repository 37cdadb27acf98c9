"""What a person tells a run while it trains, one JSON line a command in its folder. Knows no model and no trainer.

The folder is the door, so that a run of this process, of a child process or of the command line is told alike.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from engine import config, errors
from engine.errors import UserError
from engine.grpo.settings import TrainConfig

COMMANDS = "commands.jsonl"
"""The file in the run's folder."""
CHANGEABLE = (
    "learning_rate",
    "kl_coeff",
    "temperature",
    "target_accuracy",
    "early_stop_patience",
    "early_stop_reward",
)
"""The settings that can change while a run trains: how it learns, and when it ends early."""
Word = Literal["checkpoint", "set", "stop", "pause", "resume"]
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Command:
    """One thing to do.

    "checkpoint" saves after the step at hand. "set" gives a setting of `CHANGEABLE` another value from the next step
    on. "stop" ends the run at its next event and saves its last whole step; "pause" and "resume" hold it there and let
    it go on. A run on the compute lane is better stopped and paused through its `Job`, which keeps no thread waiting.
    """

    command: Word
    name: str = ""
    value: float = 0.0


def ask(folder: str | Path, command: Command) -> None:
    """Tell the run in this folder what to do; it is done when the run comes to it, or never if none trains there.

    Raises:
        UserError: the run's settings do not allow it, there is no such folder, or the disk is full.
    """
    require(command)
    file = Path(folder) / COMMANDS
    line = f"{json.dumps(asdict(command))}\n"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            # One write, so that commands of two windows never mix.
            os.write(descriptor, f"\n{line}".encode() if torn else line.encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise errors.explain(error) from error


def require(command: Command) -> None:
    """Refuse what no run can do.

    Raises:
        UserError: the setting cannot change while a run trains, or not to this value.
        ValueError: there is no such command.
    """
    if command.command not in get_args(Word):
        raise ValueError(f"no command for a run: {command.command}")
    if command.command != "set":
        return
    if command.name not in CHANGEABLE:
        raise UserError(
            "{name} cannot change while the run trains.",
            "Only these can: {changeable}.",
            "Stop the run and go on with it under other settings, or begin a new one.",
            name=command.name,
            changeable=", ".join(CHANGEABLE),
        )
    config.build(TrainConfig, {command.name: command.value})


class Reader:
    """The commands that come to a folder from now on; those of earlier sessions of the run are not seen again."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / COMMANDS
        self._place = self._size()
        self._looked = time.monotonic()

    def read(self, *, at_once: bool = True) -> list[Command | UserError]:
        """The commands that came since the last time, each whole and possible; an error in place of any other.

        Where not `at_once`, the disk is looked at five times a second at most.
        """
        if not at_once and time.monotonic() - self._looked < _LOOK_SECONDS:
            return []
        self._looked = time.monotonic()
        # A file that became shorter was replaced: by what, nobody can tell.
        self._place = min(self._place, self._size())
        try:
            with self._file.open("rb") as file:
                file.seek(self._place)
                content = file.read()
        except OSError:
            # Nobody has asked for anything yet, or it cannot be read: no reason to end a run.
            return []
        # Half of a line is for the next time.
        whole = content[: content.rfind(b"\n") + 1]
        self._place += len(whole)
        return [_parsed(line) for line in whole.splitlines() if line.strip()]

    def _size(self) -> int:
        try:
            return self._file.stat().st_size
        except OSError:
            return 0


def _parsed(line: bytes) -> Command | UserError:
    try:
        fields = json.loads(line)
        command = Command(fields["command"], fields.get("name", ""), float(fields.get("value", 0.0)))
        require(command)
    except UserError as error:
        return error
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return UserError(
            "A command for the run was not understood.",
            "{line}",
            "It may come from a newer version of the program: update this one.",
            line=line.decode("utf-8", "replace")[:200].strip(),
        )
    return command
