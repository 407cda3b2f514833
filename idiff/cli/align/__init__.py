"""`idiff align`: candidates, picks, and shards of the picks."""
