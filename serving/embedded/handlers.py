"""Handlers of the calls, from request message to response message, for both gRPC and REST."""

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from serving.embedded import status, versions

SIGNATURES_FIELD = "signature_def"  # the only supported field of the metadata


def predict(
    models: versions.Models, request: predict_pb2.PredictRequest, timeout_seconds: float | None = None
) -> predict_pb2.PredictResponse:
    _check_spec(request)
    with models.handle(request.model_spec) as servable:
        return servable.answer(request, timeout_seconds)


def metadata(
    models: versions.Models, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    _check_spec(request)
    if not request.metadata_field:
        raise status.invalid_argument("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURES_FIELD:
            raise status.invalid_argument(f"Metadata field {field} is not supported")
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with models.handle(request.model_spec) as servable:
        response.metadata[SIGNATURES_FIELD].Pack(
            get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        )
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
    return response


def model_status(
    models: versions.Models, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    _check_spec(request)
    response = get_model_status_pb2.GetModelStatusResponse()
    for number, (state, error) in models.statuses(request.model_spec).items():
        version_status = response.model_version_status.add(version=number, state=state)
        version_status.status.error_code = error.code.value[0] if error else 0  # 0 too, so that the field is present
        if error:
            version_status.status.error_message = error.message
    return response


def reload(
    models: versions.Models, request: model_management_pb2.ReloadConfigRequest
) -> model_management_pb2.ReloadConfigResponse:
    models.configure(request.config)
    response = model_management_pb2.ReloadConfigResponse()
    response.status.error_code = 0
    return response


def refuse_reload(
    models: versions.Models, request: model_management_pb2.ReloadConfigRequest
) -> model_management_pb2.ReloadConfigResponse:
    """Refuse a configuration: it may name any model on the disk, and a model's graph can read and write files."""
    raise status.StatusError(
        status.Code.PERMISSION_DENIED,
        "HandleReloadConfigRequest is disabled. Start the server with --allow_reload_config, or with "
        "--model_config_file_poll_wait_seconds and edit the file of --model_config_file.",
    )


def _check_spec(request: object) -> None:
    if not request.HasField("model_spec"):  # type: ignore[attr-defined]  # all request messages have HasField
        raise status.invalid_argument("Missing ModelSpec")
