"""The forms, each with the check that belongs to it."""

import flask_wtf
from flask_babel import lazy_gettext as _
from wtforms import PasswordField, SelectField, SubmitField
from wtforms.validators import InputRequired


class CorrectionForm(flask_wtf.FlaskForm):
    """The right class, out of those that the model knows."""

    class_name = SelectField(_("It is really"), validators=[InputRequired()])
    submit = SubmitField(_("Save"))


class OperatorForm(flask_wtf.FlaskForm):
    token = PasswordField(_("Operator's token"), validators=[InputRequired()])
    submit = SubmitField(_("Sign in"))
