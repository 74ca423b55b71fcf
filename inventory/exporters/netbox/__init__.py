"""NetBox 4.x, over its REST API by pynetbox.

`wanted` makes objects of a snapshot and `difference` compares them with what NetBox has: both pure. `service` is the edge.
Nothing is ever deleted, nothing that contradicts is overwritten, and a second run changes nothing.
"""
