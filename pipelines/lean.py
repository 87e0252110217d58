"""Imported first by the fork server of a build, and by nothing else: keeps out of it what no worker needs."""

import sys

# pyogrio imports geopandas, and with it pandas, for functions that nothing here calls.
sys.modules.setdefault("geopandas", None)  # type: ignore[arg-type]
