"""From raw data sets to batches: sources, shards, streams.

Importing this package loads nothing heavy: `idiff data --help` needs neither torch nor Lightning.
"""
