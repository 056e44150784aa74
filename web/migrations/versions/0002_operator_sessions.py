"""operator sessions

A downgrade deletes the sessions: operators sign in again after the next upgrade.

Revision ID: 0002
Revises: 0001
Create Date: 2026-11-28 13:40:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('operator_session',
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('admin_token_digest', sa.String(length=64), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('used_at', sa.DateTime(), nullable=False),
    sa.PrimaryKeyConstraint('digest')
    )


def downgrade():
    op.drop_table('operator_session')
