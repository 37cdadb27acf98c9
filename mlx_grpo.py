"""The front door: opens the window, or hands the words of the command line to the engine."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `mlx-grpo`; with no words it opens the window."""
    if len(sys.argv) == 1:
        raise SystemExit(open_window())
    from engine.cli import run

    run(sys.argv[1:], open_window)


def open_window(self_test: bool = False, shots: str | None = None) -> int:
    """Open the window, or drive it through its self-test; the exit status."""
    from gui.app import run

    return run(self_test=self_test, shots=shots)


if __name__ == "__main__":
    main()
