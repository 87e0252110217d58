"""What the fork server of a build imports and nothing else does: what workers share, without what they do not need."""

import sys

# pyogrio imports geopandas, and with it pandas, for functions that nothing here calls.
sys.modules.setdefault("geopandas", None)  # type: ignore[arg-type]

from pipelines.warm import for_blocks  # noqa: E402

for_blocks()
