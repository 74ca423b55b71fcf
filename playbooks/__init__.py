"""What to do to one node: steps, and the playbooks that order them."""
