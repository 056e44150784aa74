"""Security headers of every response, and how long browsers may keep it."""

from flask import Flask, Response, request

HEADERS = {
    # blob: for the preview of a photo before its upload, data: for Bootstrap's icons.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# Browsers keep these, and ask before each use: pictures must not outlive their deletion. The pages show nothing
# personal, and the upload form still has its photo when the visitor goes back to it.
REVALIDATED = (
    "results.picture",
    "results.thumbnail",
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
            is_kept = endpoint in REVALIDATED and response.status_code < 400
            response.headers["Cache-Control"] = "private, no-cache" if is_kept else "no-store"
        return response
