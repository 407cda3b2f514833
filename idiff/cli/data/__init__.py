"""`idiff data`: build, check, filter, cache and look at shards."""
