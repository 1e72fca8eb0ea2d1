"""The page for the person on call, and the receiver that shows which alerts were delivered."""
