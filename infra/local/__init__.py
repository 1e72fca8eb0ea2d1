"""The envelope on one machine: supervised processes without root, containers or a cloud."""
