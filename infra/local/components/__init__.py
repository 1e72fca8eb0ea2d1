"""One file a component; each defines COMPONENT. Adding a file here adds a component."""
