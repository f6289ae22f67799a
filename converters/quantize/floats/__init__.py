"""What stays in float: where integers would spoil more than they gain."""
