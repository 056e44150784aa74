"""The forms and their validation."""

from typing import Any

import flask_wtf
import flask_wtf.csrf
from flask import g, request
from flask_babel import lazy_gettext as _
from wtforms import PasswordField, SubmitField
from wtforms.validators import InputRequired


class FormProtection(flask_wtf.csrf.CSRFProtect):
    """Accepts only forms that come from pages of this site.

    Browsers report the origin of a form in Sec-Fetch-Site, and pages cannot change it. A same-origin form needs no
    token. This matters when a visitor opens two tabs on the first visit: the second tab's cookie replaced the one that
    belongs to the token of the first. Browsers older than 2023, and all browsers over plain http except on localhost,
    do not send the header: their token is checked.
    """

    def protect(self, *args: Any, **kwargs: Any) -> None:
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            g.csrf_valid = True  # otherwise the forms check the token again
            return
        super().protect(*args, **kwargs)


class OperatorForm(flask_wtf.FlaskForm):
    token = PasswordField(_("Operator token"), validators=[InputRequired()])
    submit = SubmitField(_("Sign in"))
