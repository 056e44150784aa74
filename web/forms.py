"""The forms and their validation."""

import flask_wtf
from flask_babel import lazy_gettext as _
from wtforms import PasswordField, SelectField, SubmitField
from wtforms.validators import InputRequired


class CorrectionForm(flask_wtf.FlaskForm):
    """The correct class, one of the model's classes."""

    class_name = SelectField(_("It is really"), validators=[InputRequired()])
    submit = SubmitField(_("Save"))


class OperatorForm(flask_wtf.FlaskForm):
    token = PasswordField(_("Operator's token"), validators=[InputRequired()])
    submit = SubmitField(_("Sign in"))
