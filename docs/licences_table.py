"""Write the table of packages and licences into docs/dependencies.md, from the lock files and the packages in .venv.

    python -m docs.licences_table

The table stands between the comments <!-- table: licences --> and <!-- end of table -->.
"""

import pathlib
import re

from requirements import licences, locks

PAGE = pathlib.Path(__file__).with_name("dependencies.md")


def main() -> None:
    PAGE.write_text(updated(PAGE.read_text("utf-8")), "utf-8")


def updated(page: str) -> str:
    """Return the text of the page with the table as the lock files and the packages' metadata say it now."""
    return re.sub(
        r"(?s)(<!-- table: licences -->\n).*?(<!-- end of table -->)",
        lambda match: f"{match[1]}\n{table()}\n{match[2]}",
        page,
    )


def table() -> str:
    """Return a row for each package of the images: name, version, licence and images."""
    images: dict[tuple[str, str], list[str]] = {}
    for image in locks.IMAGES:
        for package in locks.installed(image):
            images.setdefault((package.name, package.version), []).append(image)
    rows = [("package", "version", "licence", "image"), ("---",) * 4]
    rows += [
        (name, version, licences.licence(name), ", ".join(images[name, version])) for name, version in sorted(images)
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


if __name__ == "__main__":
    main()
