"""The signed cookie of visitors."""

import hmac

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from itsdangerous import BadSignature

OLD_NAME = "session"


def name(secret_key: str, is_secure: bool) -> str:
    """Return the cookie's name, which differs between installations because all ports of a host share cookies.

    Browsers accept a cookie with the prefix __Host- only from this host and over https.
    """
    digest = hmac.digest(secret_key.encode(), b"name of the cookie", "sha256").hex()
    return f"{'__Host-' if is_secure else ''}pilah_{digest[:8]}"


class CookieSessions(SecureCookieSessionInterface):
    """Sessions in a signed cookie, which also accept the cookie of earlier versions.

    Cookies last 400 days. Remove `open_session` 400 days after this release.
    """

    salt = "pilah-session"  # differs from the old cookie's, so that a new cookie is not valid under the old name

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        session = super().open_session(app, request)
        old_cookie = request.cookies.get(OLD_NAME)
        old_sessions = SecureCookieSessionInterface().get_signing_serializer(app)
        if session is None or old_sessions is None or not old_cookie or self.get_cookie_name(app) in request.cookies:
            return session
        try:
            values = old_sessions.loads(old_cookie, max_age=int(app.permanent_session_lifetime.total_seconds()))
        except BadSignature:  # of another program, or expired
            return session
        session.update({name: value for name, value in values.items() if name != "operator"})
        return session
