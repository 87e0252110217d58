"""From batches to a tile tree and its contents."""
