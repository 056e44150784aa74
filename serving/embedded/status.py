"""The error of a request, with TensorFlow Serving's gRPC and HTTP status codes."""

import grpc
import tensorflow as tf

Code = grpc.StatusCode

# gRPC code -> HTTP status, as in TensorFlow Serving's model_servers/http_server.cc
HTTP_STATUS = {
    Code.OK: 200,
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ABORTED: 409,
    Code.ALREADY_EXISTS: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
_CODE_BY_NUMBER = {code.value[0]: code for code in Code}


class StatusError(Exception):
    """A request or the loading of a model failed with `code` and `message`."""

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid_argument(message: str) -> StatusError:
    return StatusError(Code.INVALID_ARGUMENT, message)


def from_exception(error: BaseException) -> StatusError:
    """Convert `error`: TensorFlow's errors keep their code, all others are INTERNAL."""
    if isinstance(error, StatusError):
        return error
    if isinstance(error, tf.errors.OpError):
        return StatusError(_CODE_BY_NUMBER[error.error_code], error.message)
    return StatusError(Code.INTERNAL, f"{type(error).__name__}: {error}")
