"""Security and cache headers of every response."""

from flask import Flask, Response, request

HEADERS = {
    # blob: for the preview of a photo before its upload, data: for the icons of Swagger UI.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Browsers may cache these responses but revalidate them before each use, so that a deleted picture is not shown again.
# The pages contain nothing personal, and a cached upload form keeps its photo when the visitor goes back to it.
REVALIDATED = (
    "results.picture",
    "results.thumbnail",
    "results.heatmap",
    "home.show",
    "classify.form",
    "about.show",
    "api.description",
    "api_docs.show",
)


def init_app(app: Flask) -> None:
    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.is_secure and app.config["SESSION_COOKIE_SECURE"]:
            response.headers["Strict-Transport-Security"] = f"max-age={app.config['PILAH'].hsts_seconds}"
        endpoint = request.endpoint or ""
        if not endpoint.endswith("static"):
            is_cacheable = endpoint in REVALIDATED and response.status_code < 400
            response.headers["Cache-Control"] = "private, no-cache" if is_cacheable else "no-store"
        return response
