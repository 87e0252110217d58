"""What the fork server of a build imports and nothing else does: what workers share, without what they do not need."""

from pipelines.without import without_pandas

without_pandas()

from pipelines.warm import for_blocks  # noqa: E402

for_blocks()
