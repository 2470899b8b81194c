"""Print the words a reader meets in the notebooks, one line a line, for the spelling checker.

Stored outputs are left out: a figure is a page of letters that spell nothing.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    sys.stdout.reconfigure(encoding="utf-8")
    for path in sorted((ROOT / "book").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            for line in "".join(cell["source"]).splitlines():
                print(f"{path.name}[{number}]: {line}")


if __name__ == "__main__":
    main()
