"""The pictures of docs/report.md: `python -m benchmarks.report_pictures demo/python.kukla`.

Opens the report of an index in Chromium, as a desk in light and as a phone in dark sees it, and takes
the first chapters. The index is the one of `kukla demo`, after `kukla calibrate demo/python.kukla --target
'recall@10>=0.95'`; times in the pictures are those of the machine that takes them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from kukla import Index
from kukla.report import Asked, render, report_index, write

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
PICTURES = (
    ("report-light.png", "light", 1100, "#frontier", 1.0),
    ("report-phone-dark.png", "dark", 360, ".stages", 1.5),
)


def main() -> None:
    """Take both pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=Path)
    parser.add_argument("--to", type=Path, default=Path("docs/images"))
    arguments = parser.parse_args()
    chromium = shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium on this machine: apt-get install chromium")
    with Index.open(arguments.index, read_only=True) as index:
        made = report_index(
            index, asked=Asked(str(arguments.index), command=f"kukla report {arguments.index}")
        )
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        page_file = Path(scratch) / "report.html"
        write(render(made), page_file)
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        for name, scheme, width, last, scale in PICTURES:
            context = browser.new_context(
                color_scheme=scheme,  # type: ignore[arg-type]
                viewport={"width": width, "height": 800},
                device_scale_factor=scale,
            )
            page = context.new_page()
            page.goto(page_file.as_uri())
            box = page.locator(last).bounding_box()
            if box is None:
                raise SystemExit(f"{arguments.index} has no calibration, and so no {last} in its report")
            clip = {"x": 0, "y": 0, "width": width, "height": box["y"] + box["height"] + 24}
            page.screenshot(path=arguments.to / name, full_page=True, clip=clip)  # type: ignore[arg-type]
            print(f"{arguments.to / name}: {(arguments.to / name).stat().st_size:,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
