"""Commands for the operator of the site (`flask --app web ...`)."""

import pathlib
from collections.abc import Mapping
from typing import Any

import click
import sqlalchemy as sa
from flask import Flask
from flask.cli import with_appcontext

from web import database, exports, operator_sessions, retention, uploads
from web.database import Feedback, Upload, db

UPLOAD_SECONDS = 600.0  # the row of a picture that is newer may not be written yet
OTHERS_FOLDERS = {Feedback.NONE.value: "none-of-these", Feedback.SEVERAL.value: "several-things"}
MIGRATIONS = pathlib.Path(__file__).parent / "migrations"


class Command(click.Command):
    """A command that reports a failure of the database or a disk on one line."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except exports.ExportError as error:
            raise click.ClickException(str(error)) from error
        except sa.exc.SQLAlchemyError as error:
            raise click.ClickException(f"The database failed: {database.describe(error)}") from error
        except OSError as error:
            location = f"{error.filename}: " if error.filename else ""
            raise click.ClickException(
                f"{location}{error.strerror or error}. Free space there, or use a folder that this user may write to."
            ) from error


def init_app(app: Flask) -> None:
    """Add the commands and Flask-Migrate's `db`, except in the server: importing Alembic takes half a second."""
    if click.get_current_context(silent=True) is None:
        return
    import flask_migrate

    flask_migrate.Migrate(app, db, str(MIGRATIONS))
    for command in (prune, doctor, export_corrections, list_operator_sessions):
        app.cli.add_command(command)


@click.command(cls=Command)
@click.option("--days", type=click.IntRange(0), required=True, help="Age in days from which uploads are deleted.")
@click.option(
    "--with-corrections", is_flag=True, help="Also delete confirmed and corrected photos and their exported copies."
)
@with_appcontext
def prune(days: int, with_corrections: bool) -> None:
    """Delete old rows and their pictures; keep confirmed and corrected ones unless --with-corrections."""
    uploads.service().store.release_reserve()  # SQLite cannot even read on a full disk
    old = retention.older_than(days, with_corrections=True)
    row_ids = retention.older_than(days, with_corrections=False)
    labelled = len(old) - len(row_ids)
    row_ids = old if with_corrections else row_ids
    retention.delete_batches(uploads.service().store, row_ids)
    click.echo(f"deleted {len(row_ids)} rows older than {days} days, with their pictures")
    if labelled and with_corrections:
        click.echo(f"{labelled} of them were confirmed or corrected")
    elif labelled:
        click.echo(
            f"kept {labelled} confirmed or corrected ones: --with-corrections deletes them, and their exported copies"
        )


@click.command(cls=Command)
@with_appcontext
def doctor() -> None:
    """Delete pictures without a row, rows without a picture, and exported copies without either."""
    store = uploads.service().store
    store.release_reserve()  # SQLite cannot even read on a full disk
    # Read before the rows, because an upload writes its picture before its row.
    old_ids, all_ids = set(store.ids(older_than_seconds=UPLOAD_SECONDS)), set(store.ids())
    rows = set(db.session.scalars(sa.select(Upload.id)))
    db.session.commit()
    without_picture = {row for row in rows if not store.picture(row).exists()}
    if rows and without_picture == rows:  # the folder is most likely wrong
        raise click.ClickException(
            f"{store.folder} has none of the {len(rows)} pictures in the database. Set PILAH_DATA to the right folder; "
            "if all pictures are lost, delete the rows: flask --app web prune --days 0 --with-corrections"
        )
    store.remove_parts(UPLOAD_SECONDS)
    without_row = old_ids - (rows - without_picture)
    retention.delete_batches(store, sorted(without_row | without_picture))
    copies = exports.remove_deleted(store)
    click.echo(f"deleted {len(without_row)} pictures without a row and {len(without_picture)} rows without a picture")
    if copies:
        click.echo(f"deleted {copies} exported copies without a picture")
    if new_count := len(all_ids - old_ids - rows):
        click.echo(
            f"left {new_count} pictures without a row that are newer than {UPLOAD_SECONDS / 60:.0f} minutes: "
            "uploads may be writing their rows. Run doctor again later"
        )


@click.command("export-corrections", cls=Command)
@click.argument("folder", type=click.Path(file_okay=False, path_type=pathlib.Path))
@click.option(
    "--others",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    help="Folder for photos of no class or of several things, which are not for training.",
)
@with_appcontext
def export_corrections(folder: pathlib.Path, others: pathlib.Path | None) -> None:
    """Write each confirmed or corrected photo to FOLDER/CLASS/ID.jpg, for `python -m pipeline run --images`.

    FOLDER must be new, empty, or the folder of an earlier export, which is updated. Photos that are deleted later are
    also deleted from it. Photos that visitors called "none of these" or "several things" are written only to --others,
    in folders of these names.
    """
    paths = (folder.resolve(), others.resolve()) if others else None
    if paths and (paths[0].is_relative_to(paths[1]) or paths[1].is_relative_to(paths[0])):
        raise exports.ExportError(f"--others must be outside FOLDER and not contain it (got {others}). Choose another.")
    for path in filter(None, (folder, others)):  # before the first copy is written to either
        exports.check(uploads.service().store, path)
    labels = _with_picture(sa.select(Upload.id, Upload.label).where(Upload.label.is_not(None)))
    unsafe = sorted({name for name in labels.values() if not exports.is_folder_name(name)})
    labels = {row_id: name for row_id, name in labels.items() if name not in unsafe}
    _export(folder, labels, "confirmed and corrected photos")
    query = sa.select(Upload.id, Upload.feedback).where(Upload.feedback.in_(OTHERS_FOLDERS))
    other_folders = {row_id: OTHERS_FOLDERS[feedback] for row_id, feedback in _with_picture(query).items()}
    if others:
        _export(others, other_folders, "photos of no class or of several things")
    elif other_folders:
        click.echo(
            f"left out {len(other_folders)} photos of no class or of several things: --others FOLDER exports them"
        )
    if unsafe:
        names = ", ".join(map(repr, unsafe))
        raise click.ClickException(f"Photos of classes whose names cannot be folder names are not exported: {names}")


def _with_picture(query: sa.Select[*tuple[Any, ...]]) -> dict[str, str]:
    """Return a map of row id -> the query's second column, oldest row first, without rows whose picture is missing."""
    rows = {row_id: str(value) for row_id, value in db.session.execute(query.order_by(Upload.created_at))}
    db.session.commit()
    store = uploads.service().store
    for row_id in [row_id for row_id in rows if not store.picture(row_id).exists()]:
        click.echo(f"{row_id} has no picture; run flask --app web doctor to delete it", err=True)
        del rows[row_id]
    return rows


def _export(folder: pathlib.Path, folders: Mapping[str, str], kind: str) -> None:
    added, removed = exports.update(uploads.service().store, folder, folders)
    click.echo(f"wrote {added} {kind} to {folder}, which has {len(folders)} now, and removed {removed} old ones")


@click.command("operator-sessions", cls=Command)
@click.option("--revoke", metavar="ID|all", help="Session to end, or all of them.")
@with_appcontext
def list_operator_sessions(revoke: str | None) -> None:
    """List the operator's sessions that are signed in, or end them with --revoke."""
    sessions = operator_sessions.valid()
    if revoke is None:
        click.echo(f"{'ID':{operator_sessions.ID_LENGTH}}  {'signed in (UTC)':19}  last used (UTC)")
        for session in sessions:
            created_at, used_at = (time.isoformat(" ", "seconds") for time in (session.created_at, session.used_at))
            click.echo(f"{session.id}  {created_at}  {used_at}")
        return
    revoked = [session for session in sessions if revoke in ("all", session.id)]
    if not revoked and revoke != "all":
        raise click.ClickException(f"--revoke must be the ID of a session in the list, or all (got {revoke}).")
    operator_sessions.revoke(revoked)
    click.echo(f"revoked {len(revoked)} sessions")
