"""The simulated hall: what a box is x what the protocol says x what is wrong today.

Contract: nothing here imports anything of ours outside ``fleet.sim``. A wrong belief about Redfish must not be able to
agree with itself, so the hall has its own clock, its own package parser and its own idea of every vendor.

A BMC (`fleet.sim.bmc.Bmc`) answers as a synchronous function of request, state and clock; TLS (`fleet.sim.face`) is
only its face. Beside it stand the node's OS (`nodeos`, SSH), leaf switches (`switch`, SSH), PDUs (`pdu`, SNMPv3) and the
installer (`installer`, HTTP), each a model with a thin face of its own. Nothing here was ever compared dynamically with
real hardware: see docs/hall.md.
"""
