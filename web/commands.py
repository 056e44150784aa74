"""`flask --app web ...`: what an operator does by hand or by a timer."""

import datetime
import pathlib
import shutil

import click
import sqlalchemy as sa
from flask import Flask
from flask.cli import with_appcontext

from web import database, uploads
from web.database import Upload, db

UNDER_WAY_SECONDS = 600.0  # a younger picture may belong to an upload whose row comes next
MIGRATIONS = pathlib.Path(__file__).parent / "migrations"


def init_app(app: Flask) -> None:
    """Add the commands, and Flask-Migrate's `db`; its Alembic, half a second to import, is not for the server."""
    if click.get_current_context(silent=True) is None:
        return
    import flask_migrate

    flask_migrate.Migrate(app, db, str(MIGRATIONS))
    for command in (prune, doctor, export_corrections):
        app.cli.add_command(command)


@click.command()
@click.option("--days", type=click.IntRange(0), required=True, help="Keep what is younger.")
@click.option("--with-corrections", is_flag=True, help="Delete corrected photos, too, whether exported or not.")
@with_appcontext
def prune(days: int, with_corrections: bool) -> None:
    """Delete rows that are older than so many days, and their pictures; corrected ones stay unless told otherwise."""
    before = database.now() - datetime.timedelta(days=days)
    old = sa.select(Upload.id).where(Upload.created_at < before)
    corrected = set(db.session.scalars(old.where(Upload.corrected_class.is_not(None))))
    row_ids = [one for one in db.session.scalars(old) if with_corrections or one not in corrected]
    for row_id in row_ids:  # ids: a row that its visitor deletes meanwhile must not end this
        uploads.service().remove(row_id)
    click.echo(f"deleted {len(row_ids)} rows older than {days} days, with their pictures")
    if corrected and with_corrections:
        click.echo(f"{len(corrected)} of them carried a correction")
    elif corrected:
        click.echo(f"kept {len(corrected)} with a correction: export-corrections, then prune --with-corrections")


@click.command()
@with_appcontext
def doctor() -> None:
    """Find pictures without a row and rows without a picture, and delete what is left of them."""
    store = uploads.service().store
    rows = set(db.session.scalars(sa.select(Upload.id)))
    empty = {row for row in rows if not store.picture(row).exists()}
    if rows and empty == rows:  # rather another folder than so many losses
        raise click.ClickException(
            f"The folder of pictures must hold those of the rows. Received: {store.folder}, with none of {len(rows)}. "
            "Set PILAH_DATA to the right one; where all are lost, delete the rows: "
            "flask --app web prune --days 0 --with-corrections"
        )
    store.remove_parts(UNDER_WAY_SECONDS)
    for row in empty:
        db.session.execute(sa.delete(Upload).where(Upload.id == row))
    db.session.commit()
    lonely = set(store.ids(older_than_seconds=UNDER_WAY_SECONDS)) - (rows - empty)
    for row in lonely:
        store.remove(row)
    click.echo(f"deleted {len(lonely)} pictures without a row and {len(empty)} rows without a picture")


@click.command("export-corrections")
@click.argument("folder", type=click.Path(file_okay=False, path_type=pathlib.Path))
@with_appcontext
def export_corrections(folder: pathlib.Path) -> None:
    """Write each corrected photo to FOLDER/CLASS/ID.jpg, for `python -m pipeline run --images` to take.

    FOLDER must be new or empty: of what was written before, corrections may have been changed or deleted since.
    """
    if folder.exists() and any(folder.iterdir()):
        raise click.ClickException(
            f"The folder of corrections must be new or empty. Received: {folder}, which is not. "
            "Name another, or delete what is in it."
        )
    corrected = db.session.scalars(sa.select(Upload).where(Upload.corrected_class.is_not(None)))
    count = 0
    for row in corrected:
        picture = uploads.service().store.picture(row.id)
        if not picture.exists():
            click.echo(f"{row.id} has no picture; flask --app web doctor mends that", err=True)
            continue
        target = folder / str(row.corrected_class) / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
        count += 1
    click.echo(f"wrote {count} corrected photos to {folder}")
