"""The quality filter of data building: score pictures, drop what scores low, write the rest as shards."""
