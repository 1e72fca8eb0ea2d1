"""Bitcoin as the indexer needs it: blocks and scripts decoded, a node asked."""
