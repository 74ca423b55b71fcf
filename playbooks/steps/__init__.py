"""What can be done to a node. One file a subject; steps see fleet.ports and nothing below it."""
