"""The commands and programs in the documentation, and what test_documented_commands.py does with each.

    .venv/bin/python tests/helpers/documented_commands.py

prints the list. Commands stand in fenced blocks without a tag or with the tag `sh`, programs in blocks with the tag
`python` or `javascript`. A block that cannot run in a test has a comment with the reason directly above its fence:
<!-- not run: REASON -->
"""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterator
from typing import Literal

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n)?```(?P<tag>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE
)
ANY_FENCE = re.compile(r"^[ >]*(?:```|~~~)", re.MULTILINE)
TAGS = {"", "sh", "python", "javascript", "text", "nginx", "toml"}  # the last three hold no commands
COMMENT = re.compile(r"(?:^|\s+)#\s.*$", re.MULTILINE)
TRAINING = re.compile(r"make run\b|.* -m pipeline run (?!--help)")
Treatment = Literal["run", "options checked", "not run"]


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line, or a program in Python or JavaScript.

    Attributes:
        place: file and line of its block.
        language: sh, python or javascript.
        setup: the lines with `export` above it in its block.
        reason: why it cannot run in a test; "" where it can.
    """

    place: str
    language: str
    source: str
    setup: str = ""
    reason: str = ""

    @property
    def treatment(self) -> Treatment:
        """Return what the tests do with it. Training takes too long, so that only its options are checked."""
        if self.reason:
            return "not run"
        return "options checked" if self.language == "sh" and TRAINING.match(self.source) else "run"


def unread_blocks(text: str) -> list[str]:
    """Return what is wrong with blocks whose commands `commands_in` would miss without a word."""
    blocks = list(FENCE.finditer(text))
    problems = [f"unknown tag {block['tag']}" for block in blocks if block["tag"] not in TAGS]
    if len(ANY_FENCE.findall(text)) != 2 * len(blocks):
        problems.append("a fence that is indented, made of ~~~, not closed, or has more than one word")
    if text.count("<!-- not run:") != sum(block["reason"] is not None for block in blocks):
        problems.append("a comment 'not run' that is not directly above a block")
    return problems


def commands_in(text: str, name: str) -> Iterator[Command]:
    for block in FENCE.finditer(text):
        tag, reason = block["tag"] or "sh", block["reason"] or ""
        place = f"{name}:{text.count(chr(10), 0, block.start('text')) + 1}"
        if tag in ("python", "javascript"):
            yield Command(place, tag, block["text"], reason=reason)
        elif tag == "sh":
            setup: list[str] = []
            for line in COMMENT.sub("", block["text"].replace("\\\n", " ")).splitlines():
                if line.startswith("export "):
                    setup.append(line)
                elif line.strip():
                    yield Command(place, tag, line.strip(), "\n".join(setup), reason)


def all_commands() -> list[Command]:
    return [
        command for path in PAGES for command in commands_in(path.read_text("utf-8"), path.relative_to(ROOT).as_posix())
    ]


def main() -> None:
    commands = all_commands()
    for command in commands:
        source = command.source if command.language == "sh" else f"program in {command.language}"
        treatment = f"not run: {command.reason}" if command.reason else command.treatment
        print(f"{command.place:28} {source}\n{'':28}   {treatment}")
    counts = collections.Counter(command.treatment for command in commands)
    print(", ".join(f"{count} {treatment}" for treatment, count in counts.most_common()))


if __name__ == "__main__":
    main()
