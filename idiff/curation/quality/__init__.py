"""The quality filter of data building: score images, drop what scores low, write the rest as shards."""
