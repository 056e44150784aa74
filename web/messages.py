"""Messages about refused uploads and forms, in the visitor's language."""

from flask_babel import gettext as _

from components.data import images
from web import form_parser
from web.pictures import BadPictureError


def refusal(error: BadPictureError | form_parser.FormError) -> str:
    sentences = {
        "empty": _("The file is empty. Choose a photo."),
        "format": _("The file must be a picture: %(formats)s. Choose another.", formats=images.FORMAT_NAMES),
        "broken": _("The picture is damaged and cannot be read to its end. Choose another."),
        "small": _(
            "The picture must be at least %(limit)s pixels a side; this one has %(width)s x %(height)s. "
            "Choose a larger one.",
            **_numbers(error, "limit", "width", "height"),
        ),
        "pixels": _(
            "The picture may have %(limit)s million pixels at most; this one has %(width)s x %(height)s. "
            "Choose a smaller one.",
            **_numbers(error, "limit", "width", "height"),
        ),
        "parts": _(
            "The file may have %(limit)s layers or comments; this one has %(count)s. Save it anew, then send that.",
            **_numbers(error, "limit", "count"),
        ),
        "costly": _("Reading this picture takes too much time or memory. Save it as JPEG, then send that."),
        "busy": _("Too many photos are being read just now. Try again in a few seconds."),
        "animated": _("The picture must stand still; this one moves. Choose another."),
        "many": _("Send one photo at a time; these were %(count)s.", **_numbers(error, "count")),
        "missing": _("Choose a photo first."),
        "type": _("Send a form of the type multipart/form-data, with the photo as a file in its field image."),
        "field": _("The form has no file in the field image. Send the photo as a file, with a file name."),
        "form": _("The form is malformed or cut short: it must be valid multipart/form-data. Send it again."),
        "fields": _(
            "The form is too large: it may have %(fields)s fields, and %(limit)s kB outside of files. Send the photo "
            "as a file, with a file name, in the field image.",
            **_numbers(error, "fields", "limit"),
        ),
        "full": _("This site has no room for more photos just now. Try again later."),
        "bytes": _("The photo may have %(limit)s MB at most. Choose a smaller one.", **_numbers(error, "limit")),
    }
    return sentences[error.reason]


def _numbers(error: BadPictureError | form_parser.FormError, *names: str) -> dict[str, object]:
    return {name: error.values.get(name) for name in names}
