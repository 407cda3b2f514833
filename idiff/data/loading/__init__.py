"""From shards to batches: the order of examples, datasets, collation, loaders."""
