"""What a person would have typed and seen: the commands that a test ran with their output, kept for docs/recipe.md.

A block of the page that begins with `<!-- captured: NAME -->` is what the test recorded under that name the last time somebody ran
`test/kubernetes/transcript.py` after it; nothing in it is typed by hand.
"""
import pathlib
import re
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = REPOSITORY / "docs/recipe.md"
FOLDER = REPOSITORY / "build/recipe"
BLOCK = re.compile(r"(<!-- captured: (\S+) -->\n```(?:console|text)\n).*?(```\n)", re.S)


class Transcript:
    def __init__(self):
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._seen = set()

    def add(self, name, command, output):
        """Another command of the block `name`."""
        path = FOLDER / f"{name}.txt"
        before = path.read_text() if name in self._seen else ""
        self._seen.add(name)
        lines = "".join(line.rstrip() + "\n" for line in output.strip().splitlines())
        path.write_text(f"{before}$ {command}\n{lines}")

    def add_text(self, name, text):
        """A block that is not commands."""
        (FOLDER / f"{name}.txt").write_text(text)


def fill(page, folder):
    """The page with every block that was recorded; the names of those that were not."""
    missing = []

    def block(match):
        path = folder / f"{match.group(2)}.txt"
        if not path.exists():
            missing.append(match.group(2))
            return match.group(0)
        return match.group(1) + path.read_text() + match.group(3)

    return BLOCK.sub(block, page), missing


if __name__ == "__main__":
    text, unrecorded = fill(PAGE.read_text(), FOLDER)
    PAGE.write_text(text)
    if unrecorded:
        sys.exit("not recorded, left as they were: " + ", ".join(unrecorded))
