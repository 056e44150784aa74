"""prediction sets, typicality and certainty of answers

A downgrade deletes them. Rows that were answered before an upgrade have none.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-29 19:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

UNSURE = sa.text("certainty IN ('unsure', 'untypical')")


def upgrade():
    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.add_column(sa.Column('prediction_set', sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column('typicality', sa.Double(), nullable=True))
        batch_op.add_column(sa.Column('certainty', sa.String(length=10), nullable=True))
        batch_op.create_index('ix_upload_unsure', ['visitor', 'created_at', 'id'], unique=False, sqlite_where=UNSURE, postgresql_where=UNSURE)


def downgrade():
    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.drop_index('ix_upload_unsure')
    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.drop_column('certainty')
        batch_op.drop_column('typicality')
        batch_op.drop_column('prediction_set')
