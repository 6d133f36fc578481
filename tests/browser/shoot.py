"""Look at a notebook as its readers see it: python -m tests.browser.shoot NOTEBOOK OUT.png [--dark] [--run]"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from tests.browser import lab


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.shoot", description="Take pictures of a notebook.")
    parser.add_argument("notebook", type=Path)
    parser.add_argument("out", type=Path, help="a PNG file; what does not fit goes to OUT-2.png, OUT-3.png, ...")
    parser.add_argument("--dark", action="store_true", help="in the dark theme")
    parser.add_argument("--run", action="store_true", help="run all cells first, instead of showing the stored outputs")
    parser.add_argument("--width", type=int, default=1100, help="of the window, in pixels (default: %(default)s)")
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        path = lab.copy_of(asked.notebook, scratch / "served")
        with lab.serving(scratch / "served", scratch) as url, lab.browsing(scratch, width=asked.width) as browser:
            page = browser.new_page()
            lab.open_notebook(page, url, path)
            if asked.dark:
                lab.show_theme(page, "dark")
            if asked.run and not lab.run_all(page):
                print("A cell failed.")
            for picture in lab.take_pictures(page, asked.out):
                print(picture)


if __name__ == "__main__":
    main()
