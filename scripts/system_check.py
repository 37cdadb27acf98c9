"""Names the system libraries that Linux lacks and the command that installs them; knows no Python package.

Prints at most one line. Exit status 1 when a needed library is missing, 0 when all is there or only a hint is open.
`--display` asks for what a real window needs too; `--packages` prints nothing but Debian's names of what is missing.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Mapping, Sequence

# Each library with the Debian and Ubuntu package that holds it.
NEEDED = {
    "libstdc++.so.6": "libstdc++6",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libX11.so.6": "libx11-6",
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
}
X11 = {
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
WAYLAND = {
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
}
FASTER = {"libopenblas.so.0": "libopenblas0-pthread"}


def missing(libraries: Mapping[str, str]) -> dict[str, str]:
    """Those of `libraries` that the dynamic linker cannot load."""
    lacking = {}
    for library, package in libraries.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            lacking[library] = package
    return lacking


def missing_for_display() -> dict[str, str]:
    """What Qt lacks to open a window here: it tries Wayland and X11, and one of the two is enough."""
    doors = {"WAYLAND_DISPLAY": WAYLAND, "DISPLAY": X11}
    lacks = [missing(libraries) for variable, libraries in doors.items() if os.environ.get(variable)]
    return min(lacks, key=len, default={})


def install_command(lacking: Mapping[str, str]) -> str:
    """What to type, for the package manager that this system has."""
    sudo = "sudo " if os.geteuid() else ""
    if shutil.which("apt-get"):
        return f"{sudo}apt-get install -y {' '.join(dict.fromkeys(lacking.values()))}"
    if shutil.which("dnf"):
        # dnf knows libraries by their own names, whatever package holds them in this release.
        return f"{sudo}dnf install -y " + " ".join(f"'{library}()(64bit)'" for library in lacking)
    return "your package manager (the Debian names are " + " ".join(dict.fromkeys(lacking.values())) + ")"


def main(arguments: Sequence[str]) -> int:
    if sys.platform != "linux":
        return 0
    needed = missing(NEEDED)
    if "--display" in arguments:
        needed |= missing_for_display()
    # The hint was already given by the set-up when a window is about to open.
    faster = {} if "--display" in arguments else missing(FASTER)
    if "--packages" in arguments:
        print(*dict.fromkeys([*needed.values(), *faster.values()]))
        return 0
    if needed:
        what = f"Missing system libraries: {', '.join(needed)}. Install them with: {install_command(needed | faster)}"
        print(what, file=sys.stderr)
        return 1
    if faster:
        what = f"Hint: MLX computes faster here with OpenBLAS. Install it with: {install_command(faster)}"
        print(what, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
