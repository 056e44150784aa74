"""feedback of visitors who name no other class, and sample photos

A downgrade deletes the answers "right", "none of these" and "several things" with their times, and the marks of sample
photos, which then look like other uploads. Corrected classes and their times stay.

Revision ID: 0003
Revises: 0002
Create Date: 2026-11-29 05:00:00

"""
from alembic import op
import sqlalchemy as sa


# revision identifiers, used by Alembic.
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade():
    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.add_column(sa.Column('feedback', sa.String(length=9), nullable=True))
        batch_op.add_column(sa.Column('is_sample', sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade():
    # The time belonged to the feedback: earlier versions have it only with a corrected class.
    op.execute('UPDATE upload SET corrected_at = NULL WHERE corrected_class IS NULL')
    with op.batch_alter_table('upload', schema=None) as batch_op:
        batch_op.drop_column('is_sample')
        batch_op.drop_column('feedback')
