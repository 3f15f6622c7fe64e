"""Check the built pages: ``python docs/check_links.py BUILD``.

Every link inside the site must lead to a file and, after ``#``, to a place in it, and a
page must load nothing from elsewhere: neither script, style, font nor picture.
"""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"audio", "embed", "iframe", "img", "script", "source", "video"}
# A link of these kinds is loaded with the page; others are only named.
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload"}


class Page(HTMLParser):
    """The targets, links and loaded files of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(
        self, tag: str, attributes: list[tuple[str, str | None]]
    ) -> None:
        """Note what one element names."""
        values = {name: value for name, value in attributes if value is not None}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        is_loaded = tag in LOADED or (
            tag == "link" and LOADED_LINKS & set(values.get("rel", "").split())
        )
        for name in ("href", "src"):
            if name in values:
                self.links.add(values[name])
                if is_loaded:
                    self.loaded.add(values[name])


def faults(build: Path) -> Iterator[str]:
    """What is wrong in a folder of built pages, a line each."""
    files = [path.resolve() for path in sorted(build.rglob("*.html"))]
    # Files that the theme brings along are no pages.
    pages = {path: Page(path) for path in files if "_static" not in path.parts}
    if not pages:
        yield f"{build} holds no page"
    for path, page in pages.items():
        name = path.relative_to(build.resolve())
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.loaded and parts.scheme != "data":
                    yield f"{name}: loads {link}, which is not part of the site"
                continue
            target = path
            if parts.path:
                target = (path.parent / unquote(parts.path)).resolve()
            if not target.is_file():
                yield f"{name}: {link} leads to no file"
                continue
            is_page = parts.fragment and target in pages
            if is_page and unquote(parts.fragment) not in pages[target].ids:
                yield f"{name}: {link} leads to no place in {target.name}"


def main(arguments: list[str]) -> int:
    """Print what is wrong; the exit code is 1 if anything is."""
    if len(arguments) != 1:
        print("usage: python docs/check_links.py BUILD", file=sys.stderr)
        return 2
    found = list(faults(Path(arguments[0])))
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
