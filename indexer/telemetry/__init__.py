"""What the API tells about itself: metrics, one log line a request, security events, traces."""
