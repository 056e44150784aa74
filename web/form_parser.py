"""Parse forms within limits, and report what is wrong with a form that cannot be parsed."""

import typing
import urllib.parse

import flask
import werkzeug.formparser
from werkzeug.exceptions import ClientDisconnected, HTTPException, LengthRequired, RequestEntityTooLarge
from werkzeug.wsgi import LimitedStream

KB = 1000


class FormError(HTTPException):
    """A form that cannot be parsed: HTTP status, reason and values of a message in `web.messages`."""

    def __init__(self, status: int, reason: str, **values: object):
        super().__init__(f"form refused: {reason}")
        self.code, self.reason, self.values = status, reason, values


class FormParser(werkzeug.formparser.FormDataParser):
    """A form parser that gives reasons; Flask's treats a malformed form as empty and answers every excess with 413."""

    def parse(
        self,
        stream: typing.IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None = None,
    ) -> typing.Any:
        """Parse the form in `stream`, which is limited to MAX_CONTENT_LENGTH.

        Raises:
            FormError: the form is malformed or incomplete, or has too many or too large fields.
            LengthRequired: a form without files is sent in chunks, so that its length is unknown.
            RequestEntityTooLarge: the body is too large.
        """
        self.silent = False
        files: list[typing.IO[bytes]] = []
        open_file = self.stream_factory

        def open_and_list(**file_options: typing.Any) -> typing.IO[bytes]:
            files.append(open_file(**file_options))
            return files[-1]

        self.stream_factory = typing.cast(typing.Any, open_and_list)
        try:
            return self._parse(stream, mimetype, content_length, options)
        except HTTPException:
            for file in files:
                file.close()
            raise

    def _parse(
        self,
        stream: typing.IO[bytes],
        mimetype: str,
        content_length: int | None,
        options: dict[str, str] | None,
    ) -> typing.Any:
        try:
            if mimetype == "application/x-www-form-urlencoded":
                self._check_length(content_length)
            return super().parse(stream, mimetype, content_length, options)
        except RequestEntityTooLarge as error:
            if content_length is None and isinstance(stream, LimitedStream) and stream.is_exhausted:
                raise  # sent in chunks, without a length to check first
            kilobytes = (self.max_form_memory_size or 0) // KB
            raise FormError(413, "fields", fields=self.max_form_parts, limit=kilobytes) from error
        except (ValueError, ClientDisconnected) as error:
            raise FormError(400, "form") from error

    def _check_length(self, content_length: int | None) -> None:
        """Limit forms without files, which Flask does not: parsing 15 MB takes 25 s of CPU time and 700 MB."""
        if content_length is None:
            raise LengthRequired()
        if content_length > (self.max_form_memory_size or 0):
            raise RequestEntityTooLarge()


class Request(flask.Request):
    """A request whose form and referrer may be malformed."""

    form_data_parser_class = FormParser

    @property
    def referrer(self) -> str | None:  # type: ignore[override]
        """Return the header Referer, or None if it is not a valid URL, because Flask-WTF parses it unchecked."""
        referrer = self.headers.get("Referer")
        try:
            urllib.parse.urlsplit(referrer or "")
        except ValueError:
            return None
        return referrer
