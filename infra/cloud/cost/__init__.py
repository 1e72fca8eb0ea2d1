"""What a stack costs in a month: from its settings, committed list prices, and assumptions that are written down."""
