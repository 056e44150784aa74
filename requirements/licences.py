"""The licence of each package, as an SPDX expression, from the metadata of the packages in .venv."""

import functools
import importlib.metadata
from collections.abc import Mapping

import license_expression

# What packages write in their fields License and Classifier, where they have no License-Expression.
NAMES = {
    "2-clause BSD License": "BSD-2-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD 3-Clause": "BSD-3-Clause",
    "BSD 3-Clause License": "BSD-3-Clause",
    "BSD-3": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "OSI Approved :: Apache Software License": "Apache-2.0",
}
# Read in the packages' licence files, because their metadata names no exact licence.
FROM_FILES = {
    "astunparse": "BSD-3-Clause AND Python-2.0",
    "cycler": "BSD-3-Clause",
    "flask-sqlalchemy": "BSD-3-Clause",
    "flask-wtf": "BSD-3-Clause",
    "itsdangerous": "BSD-3-Clause",
    "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause",
    "matplotlib": "PSF-2.0",
    "namex": "Apache-2.0",
    "partd": "BSD-3-Clause",
    "python-dateutil": "Apache-2.0 OR BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "waitress": "ZPL-2.1",
    "wtforms": "BSD-3-Clause",
    "zict": "BSD-3-Clause",
}
GCC_RUNTIME = "GPL-3.0-or-later WITH GCC-exception-3.1"
# Copyleft licences of libraries in the wheels for Linux, which the metadata leaves out.
BUNDLED = {
    "ai-edge-litert": "MPL-2.0",  # Eigen
    "ml-dtypes": "MPL-2.0",  # Eigen
    "mnn": GCC_RUNTIME,  # libgomp
    "numpy": f"{GCC_RUNTIME} AND LGPL-2.1-or-later",  # libgfortran, libquadmath
    "onnxruntime": "MPL-2.0",  # Eigen
    "pillow-heif": "LGPL-3.0-or-later AND GPL-2.0-or-later",  # libheif and libde265, x265
    "psycopg-binary": "LGPL-2.1-or-later",  # libkeyutils, libcrypt
    "scikit-learn": GCC_RUNTIME,  # libgomp
    "scipy": f"{GCC_RUNTIME} AND LGPL-2.1-or-later",  # libgfortran, libquadmath
    "tensorflow": "MPL-2.0",  # Eigen
}
COPYLEFT = ("GPL", "MPL")  # in the names of licences; also of LGPL and AGPL


class UnknownLicenceError(Exception):
    """The metadata of a package names no licence that this file knows."""


@functools.cache
def licensing() -> license_expression.Licensing:
    """Return the parser of SPDX expressions, which takes a moment to set up."""
    return license_expression.get_spdx_licensing()


def licence(name: str) -> str:
    """Return the SPDX expression of a package and of the copyleft libraries in its wheel.

    Raises:
        UnknownLicenceError: the package is not in .venv, or its metadata names no known licence.
    """
    try:
        metadata = importlib.metadata.metadata(name).json
    except importlib.metadata.PackageNotFoundError as error:
        raise UnknownLicenceError(f"{name} is not in .venv. Update it: make .venv/ready") from error
    own = FROM_FILES.get(name) or _of_metadata(metadata)
    if not own:
        raise UnknownLicenceError(
            f"The metadata of {name} names no known licence. Read its licence file, and add it to {__name__}."
        )
    if name not in BUNDLED:
        return own
    return f"({own}) AND {BUNDLED[name]}" if " OR " in own else f"{own} AND {BUNDLED[name]}"


def is_copyleft(expression: str) -> bool:
    return any(word in expression for word in COPYLEFT)


def _of_metadata(metadata: Mapping[str, str | list[str]]) -> str | None:
    classifiers = [str(text).rpartition(" :: ")[2] for text in metadata.get("classifier", []) if "License ::" in text]
    first_line = str(metadata.get("license", "")).strip().partition("\n")[0].strip()
    for text in (str(metadata.get("license_expression", "")), first_line, *classifiers):
        expression = NAMES.get(text, text)
        if expression and not licensing().validate(expression).errors:
            return expression
    return None
