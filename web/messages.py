"""Messages about refused uploads and forms, in the visitor's language."""

from flask_babel import gettext as _

from components.data import images
from web import form_parser
from web.pictures import BadPictureError


def refusal(error: BadPictureError | form_parser.FormError) -> str:
    sentences = {
        "empty": _("This file is empty. Choose another photo."),
        "format": _(
            "We can't read this file. Choose a photo in one of these formats: %(formats)s.", formats=images.FORMAT_NAMES
        ),
        "broken": _("This file is damaged. Choose another photo."),
        "small": _(
            "Photos must have at least %(limit)s pixels on each side; this one has %(width)s x %(height)s. "
            "Choose a larger one.",
            **_numbers(error, "limit", "width", "height"),
        ),
        "pixels": _(
            "Photos can have up to %(limit)s million pixels; this one has %(width)s x %(height)s. "
            "Choose a smaller one.",
            **_numbers(error, "limit", "width", "height"),
        ),
        "parts": _(
            "Photos can have up to %(limit)s layers or comments; this one has %(count)s. "
            "Save it as JPEG and send the copy.",
            **_numbers(error, "limit", "count"),
        ),
        "costly": _("Reading this photo takes too much time or memory. Save it as JPEG and send the copy."),
        "busy": _("Too many photos are being processed right now. Try again in a few seconds."),
        "animated": _("Animated pictures don't work. Choose a still photo."),
        "many": _("Send one photo at a time (you sent %(count)s).", **_numbers(error, "count")),
        "missing": _("Choose a photo first."),
        "type": _("Send a multipart/form-data form with the photo as a file in the field image."),
        "field": _("The form has no file in the field image. Send the photo as a file, with a file name."),
        "form": _("The form is incomplete or not valid multipart/form-data. Send it again."),
        "fields": _(
            "The form is too large: it can have up to %(fields)s fields and %(limit)s kB besides files. Send the photo "
            "as a file, with a file name, in the field image.",
            **_numbers(error, "fields", "limit"),
        ),
        "full": _("There is no space for more photos right now. Try again later."),
        "bytes": _("Photos can be up to %(limit)s MB. Choose a smaller one.", **_numbers(error, "limit")),
    }
    return sentences[error.reason]


def _numbers(error: BadPictureError | form_parser.FormError, *names: str) -> dict[str, object]:
    return {name: error.values.get(name) for name in names}
