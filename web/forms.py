"""The forms and their validation."""

from typing import Any

import flask_wtf
import flask_wtf.csrf
from flask import g, request
from flask_babel import lazy_gettext as _
from wtforms import PasswordField, SelectField, SubmitField
from wtforms.validators import InputRequired


class FormProtection(flask_wtf.csrf.CSRFProtect):
    """Accepts the forms of this site's own pages only.

    Browsers say in Sec-Fetch-Site where a form comes from, and no page can change that. A form from here needs no
    token, which matters for two tabs opened at the first visit: the second one replaced the cookie with the token of
    the first. Browsers older than 2023, and all over plain http except on localhost, send no such header: their token
    is checked.
    """

    def protect(self, *args: Any, **kwargs: Any) -> None:
        if request.headers.get("Sec-Fetch-Site") == "same-origin":
            g.csrf_valid = True  # for the forms, which else check the token again
            return
        super().protect(*args, **kwargs)


class CorrectionForm(flask_wtf.FlaskForm):
    """The correct class, one of the model's classes."""

    class_name = SelectField(_("It is really"), validators=[InputRequired()])
    submit = SubmitField(_("Save"))


class OperatorForm(flask_wtf.FlaskForm):
    token = PasswordField(_("Operator's token"), validators=[InputRequired()])
    submit = SubmitField(_("Sign in"))
