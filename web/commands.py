"""Commands for the operator of the site (`flask --app web ...`)."""

import datetime
import pathlib
import shutil

import click
import sqlalchemy as sa
from flask import Flask
from flask.cli import with_appcontext

from web import database, operator_sessions, uploads
from web.database import Upload, db

UNDER_WAY_SECONDS = 600.0  # a newer picture may belong to an upload whose row is not written yet
MIGRATIONS = pathlib.Path(__file__).parent / "migrations"


def init_app(app: Flask) -> None:
    """Add the commands and Flask-Migrate's `db`, but not in the server: Alembic takes half a second to import."""
    if click.get_current_context(silent=True) is None:
        return
    import flask_migrate

    flask_migrate.Migrate(app, db, str(MIGRATIONS))
    for command in (prune, doctor, export_corrections, operator_sessions.command):
        app.cli.add_command(command)


@click.command()
@click.option("--days", type=click.IntRange(0), required=True, help="Age in days from which uploads are deleted.")
@click.option("--with-corrections", is_flag=True, help="Corrected photos too, exported or not.")
@with_appcontext
def prune(days: int, with_corrections: bool) -> None:
    """Delete old rows and their pictures; keep corrected ones unless --with-corrections."""
    before = database.now() - datetime.timedelta(days=days)
    old = sa.select(Upload.id).where(Upload.created_at < before)
    corrected = set(db.session.scalars(old.where(Upload.corrected_class.is_not(None))))
    row_ids = [row_id for row_id in db.session.scalars(old) if with_corrections or row_id not in corrected]
    for row_id in row_ids:  # ids instead of rows, as a visitor may delete a row in the meantime
        uploads.service().remove(row_id)
    click.echo(f"deleted {len(row_ids)} rows older than {days} days, with their pictures")
    if corrected and with_corrections:
        click.echo(f"{len(corrected)} of them had a correction")
    elif corrected:
        click.echo(f"kept {len(corrected)} with a correction: run export-corrections, then prune --with-corrections")


@click.command()
@with_appcontext
def doctor() -> None:
    """Delete pictures without a row and rows without a picture."""
    store = uploads.service().store
    rows = set(db.session.scalars(sa.select(Upload.id)))
    without_picture = {row for row in rows if not store.picture(row).exists()}
    if rows and without_picture == rows:  # more likely a wrong folder than the loss of all pictures
        raise click.ClickException(
            f"{store.folder} has none of the {len(rows)} pictures in the database. Set PILAH_DATA to the right folder; "
            "if all pictures are lost, delete the rows: flask --app web prune --days 0 --with-corrections"
        )
    store.remove_parts(UNDER_WAY_SECONDS)
    for row in without_picture:
        db.session.execute(sa.delete(Upload).where(Upload.id == row))
    db.session.commit()
    without_row = set(store.ids(older_than_seconds=UNDER_WAY_SECONDS)) - (rows - without_picture)
    for row in without_row:
        store.remove(row)
    click.echo(f"deleted {len(without_row)} pictures without a row and {len(without_picture)} rows without a picture")


@click.command("export-corrections")
@click.argument("folder", type=click.Path(file_okay=False, path_type=pathlib.Path))
@with_appcontext
def export_corrections(folder: pathlib.Path) -> None:
    """Write each corrected photo to FOLDER/CLASS/ID.jpg, for `python -m pipeline run --images`.

    FOLDER must be new or empty, as corrections of an earlier export may have been changed or deleted since.
    """
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(
            f"{folder} is not empty. Choose a new folder for the corrections, or delete its files."
        )
    corrected = db.session.scalars(sa.select(Upload).where(Upload.corrected_class.is_not(None)))
    count = 0
    for row in corrected:
        picture = uploads.service().store.picture(row.id)
        if not picture.exists():
            click.echo(f"{row.id} has no picture; run flask --app web doctor to delete it", err=True)
            continue
        target = folder / str(row.corrected_class) / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
        count += 1
    click.echo(f"wrote {count} corrected photos to {folder}")
