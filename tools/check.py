"""`detect check` as a script: python tools/check.py --help"""

import sys
from pathlib import Path

# The checkout instead of this folder, whose profile.py would hide the standard library's.
sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    from detect.cli.main import main

    sys.exit(main(["check", *sys.argv[1:]]))
