"""Says what building the app bundle will need; knows no build steps, since this version has none yet."""

import sys

if sys.platform == "darwin":
    message = "Building the app bundle is not part of this version yet; `make run` opens the window."
else:
    message = "Building the app bundle needs macOS on Apple silicon (arm64) and Python 3.12 from python.org."
sys.stderr.write(message + "\n")
sys.exit(2)
