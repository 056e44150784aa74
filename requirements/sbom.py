"""Write build/sbom/IMAGE.cdx.json, the software bill of materials of each image in CycloneDX: make sbom.

It lists the Python packages of the lock file, and Swagger UI, which is among the files of the web page. The operating
system and the Python of the base image are not in it: a scanner of built images, such as syft, lists those.
"""

import json
import pathlib
import re
import sys

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from components.base.version import VERSION
from requirements import licences, locks

FOLDER = pathlib.Path("build/sbom")
VENDORED = pathlib.Path(__file__).parents[1] / "web" / "static" / "vendor" / "README.md"
SCOPE = "Packages of requirements/{}.txt and vendored files, without the operating system and Python of the base image."


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for image in locks.IMAGES:
        path = FOLDER / f"{image}.cdx.json"
        try:
            text = document(image)
        except licences.UnknownLicenceError as error:
            sys.exit(f"{path} was not written. {error}")
        path.write_text(text, "utf-8")
        print(f"{path}: {len(json.loads(text)['components'])} packages")


def document(image: str) -> str:
    """Return the bill of materials of the image "pipeline" or "web" as JSON, which is valid by the schema.

    Raises:
        licences.UnknownLicenceError: the licence of a package is not known.
    """
    bom = Bom()
    root = Component(
        name=f"pilah-{image}",
        version=VERSION,
        type=ComponentType.APPLICATION,
        bom_ref=f"pilah-{image}",
        licenses=[LicenseExpression("MIT")],
        description=SCOPE.format(image),
    )
    bom.metadata.component = root
    packages = [_component(package) for package in locks.installed(image)] + (_vendored() if image == "web" else [])
    bom.components.update(packages)
    bom.register_dependency(root, packages)
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    errors = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert errors is None, errors
    return text


def _component(package: locks.Package) -> Component:
    """Return a package with its licence, and the digests of all its files: one for each platform."""
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in package.sha256]
    purl = PackageURL("pypi", name=package.name, version=package.version)
    return Component(
        name=package.name,
        version=package.version,
        bom_ref=str(purl),
        purl=purl,
        licenses=[LicenseExpression(licences.licence(package.name))],
        external_references=[
            ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(str(purl)), hashes=hashes)
        ],
    )


def _vendored() -> list[Component]:
    """Return the packages of npm whose files are in web/static/vendor."""
    rows = re.findall(r"(?m)^\| `\S+` \| `(\S+)` from npm \| (\S+) \| (\S+) \|", VENDORED.read_text("utf-8"))
    return [
        Component(
            name=name,
            version=version,
            bom_ref=f"pkg:npm/{name}@{version}",
            purl=PackageURL("npm", name=name, version=version),
            licenses=[LicenseExpression(expression)],
        )
        for name, version, expression in rows
    ]


if __name__ == "__main__":
    main()
