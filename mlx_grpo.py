"""The front door: opens the window, or hands the words of the command line to the engine."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Run `mlx-grpo`; with no words it opens the window."""
    _open_closed_streams()
    try:
        if len(sys.argv) == 1:
            raise SystemExit(open_window())
        from engine.cli import run

        run(sys.argv[1:], open_window)
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def open_window(self_test: bool = False, shots: str | None = None) -> int:
    """Open the window, or drive it through its self-test; the exit status."""
    # Until the window minds Ctrl-C, one ends the process: raised inside an import or a Qt callback it could get lost.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from gui.app import run

    return run(self_test=self_test, shots=shots)


def _open_closed_streams() -> None:
    """Where a standard stream is closed, the next file opened would take its number and be mistaken for it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        name = ("stdin", "stdout", "stderr")[number]
        setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
    os.close(number)


if __name__ == "__main__":
    main()
