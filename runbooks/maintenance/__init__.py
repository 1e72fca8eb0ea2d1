"""What on-call runs to see how an environment is."""
