"""Rows of predict calls with the same answers over gRPC and, in column format ("inputs"), over REST."""

import dataclasses
from typing import Any

import conformance_calls as calls
import conformance_models

Code = calls.Code
INVALID, PRECONDITION = (Code.INVALID_ARGUMENT, 400), (Code.FAILED_PRECONDITION, 400)
NOT_FOUND = (Code.NOT_FOUND, 404)
Status = tuple[Code, int]  # gRPC status, HTTP status


@dataclasses.dataclass(frozen=True)
class Both:
    """A predict call and its answer: `outputs` of version `by`, or an error.

    Args:
        refused: status and part of the message of an error.
        batching: the same for a server with batching.
        dtype: dtype of inputs and outputs, if it does not follow from their values.
    """

    id: str
    model: str
    inputs: calls.Values
    outputs: calls.Values | None = None
    by: int = 1
    refused: tuple[Status, str] | None = None
    batching: tuple[Status, str] | None = None
    signature: str | None = None
    version: int | None = None
    label: str | None = None
    dtype: str | None = None

    def over_grpc(self) -> calls.Row:
        spec: dict[str, Any] = {"version": self.version, "label": self.label, "signature": self.signature}
        request = calls.predict(self.model, self._tensors(self.inputs), **spec)
        answer = None
        if self.outputs is not None:
            signature = self.signature or "serving_default"
            answer = calls.predicted(self.model, self._tensors(self.outputs), self.by, signature)
        return self._row(request, answer, 0)

    def over_rest(self) -> calls.Row:
        version = "" if self.version is None else f"/versions/{self.version}"
        label = "" if self.label is None else f"/labels/{self.label}"
        body = {"inputs": self.inputs} | ({"signature_name": self.signature} if self.signature else {})
        answer = None
        if self.outputs is not None:
            is_single = len(self.outputs) == 1
            answer = {"outputs": next(iter(self.outputs.values())) if is_single else self.outputs}
        return self._row(calls.post(f"{self.model}{version}{label}:predict", body), answer, 1)

    def _tensors(self, named: calls.Values) -> calls.Values:
        return {name: calls.tensor(values, self.dtype) for name, values in named.items()}

    def _row(self, request: Any, answer: Any, server: int) -> calls.Row:
        (statuses, message) = self.refused or ((Code.OK, 200), "")
        batching = self.batching and (self.batching[0][server], self.batching[1])
        return calls.Row(self.id, request, statuses[server], answer, message, batching=batching)


def unchanged(dtype: str, *values: Any) -> Both:
    return Both(dtype, "dtypes", {"x": values}, {"y": list(values)}, signature=dtype, dtype=dtype)


def refused(id: str, model: str, inputs: calls.Values, status: Status, message: str, **more: Any) -> Both:
    return Both(id, model, inputs, refused=(status, message), **more)


X, A_B = {"x": [1.0, 2.0]}, {"a": [5.0, 7.0], "b": [1.0, 2.0]}
SCALARS = {"a": 2.0, "b": 3.0}
UNEQUAL = {"a": [1.0, 2.0], "b": [3.0]}
NO_DIMENSION = (INVALID, "Batching Run() input tensors must have at least one dimension")
UNEQUAL_ROWS = (INVALID, "Batching Run() input tensors must have equal 0th-dimension size")
NO_DIMENSION_OUT = (PRECONDITION, "Batched output tensor has 0 dimensions")
UNEQUAL_ROWS_OUT = (
    PRECONDITION,
    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
)

ROWS = [
    Both("newest", "scale", X, {"y": [3.0, 6.0]}, by=3),
    Both("version", "scale", X, {"y": [2.0, 4.0]}, by=2, version=2),
    Both("label", "scale", X, {"y": [2.0, 4.0]}, by=2, label="stable"),
    Both("other_label", "scale", X, {"y": [3.0, 6.0]}, by=3, label="canary"),
    Both("default_signature_named", "scale", X, {"y": [3.0, 6.0]}, by=3, signature="serving_default"),
    Both("two_outputs", "signatures", A_B, {"sum": [6.0, 9.0], "difference": [4.0, 5.0]}, signature="combine"),
    Both("matrix", "signatures", {"x": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}, {"total": [6.0, 15.0]}),
    Both("no_rows", "scale", {"x": []}, {"y": []}, by=3, dtype="float32"),
    unchanged("float32", 0.5, -2.0),
    unchanged("float64", 0.1, 1e300),
    unchanged("int32", 1, -(2**31)),
    unchanged("int64", 2**63 - 1, -(2**63)),
    unchanged("uint8", 0, 255),
    unchanged("uint64", 2**64 - 1),
    unchanged("bool", True, False),
    refused("unknown_model", "nope", X, NOT_FOUND, "Servable not found for request: Latest(nope)"),
    refused("unknown_version", "scale", X, NOT_FOUND, "Servable not found for request: Specific(scale, 9)", version=9),
    refused("version_on_disk_alone", "scale", X, NOT_FOUND, "Specific(scale, 1)", version=1),
    refused("unknown_label", "scale", X, INVALID, "Unrecognized servable version label: old", label="old"),
    refused("label_of_no_model", "nope", X, INVALID, "Unrecognized servable version label: stable", label="stable"),
    refused("wrong_size", "signatures", {"x": [[1.0, 2.0]]}, INVALID, "Matrix size-incompatible: In[0]: [1,2]"),
    refused("assertion", "raises", {"x": [1.0, -1.0]}, INVALID, "assertion failed: [x must be positive]"),
    refused(
        "zero_divisor",
        "raises",
        {"a": [1], "b": [0]},
        INVALID,
        "Integer division by zero",
        signature="divide",
        dtype="int32",
    ),
    refused("file_missing_in_graph", "raises", X, NOT_FOUND, conformance_models.NO_SUCH_FILE, signature="file"),
    Both("scalars", "two_scalars", SCALARS, {"sum": 5.0, "product": 6.0}, batching=NO_DIMENSION),
    Both(
        "unequal_rows",
        "signatures",
        UNEQUAL,
        {"sum": [4.0, 5.0], "difference": [-2.0, -1.0]},
        signature="combine",
        batching=UNEQUAL_ROWS,
    ),
    Both("scalar_output", "signatures", X, {"total": 3.0}, signature="scalar_output", batching=NO_DIMENSION_OUT),
    Both(
        "uneven_outputs",
        "signatures",
        X,
        {"all": [1.0, 2.0], "first": [1.0]},
        signature="uneven_outputs",
        batching=UNEQUAL_ROWS_OUT,
    ),
]
