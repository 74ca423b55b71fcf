"""How to change thousands of nodes, safely: plan, pace, act, verify, recover."""
