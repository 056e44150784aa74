"""The forms, each with the check that belongs to it."""

import flask_wtf
from flask_babel import lazy_gettext as _
from flask_wtf.file import FileField, FileRequired
from wtforms import HiddenField, PasswordField, SelectField, SubmitField
from wtforms.validators import InputRequired


class UploadForm(flask_wtf.FlaskForm):
    image = FileField(_("Photo"), validators=[FileRequired(_("Choose a photo first."))])
    submit = SubmitField(_("Sort it"))


class CorrectionForm(flask_wtf.FlaskForm):
    """The right class, out of those that the model knows."""

    class_name = SelectField(_("It is really"), validators=[InputRequired()])
    submit = SubmitField(_("Save"))


class DeleteForm(flask_wtf.FlaskForm):
    next = HiddenField()
    submit = SubmitField(_("Delete"))


class OperatorForm(flask_wtf.FlaskForm):
    token = PasswordField(_("Operator's token"), validators=[InputRequired()])
    submit = SubmitField(_("Sign in"))
