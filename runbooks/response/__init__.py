"""What on-call does when an alert fires: an answer for each, on the engine of the runbooks."""
