"""How much power is spoken for, and by whom: the ledger of reservations, its pacing, its second check, its proof. Pure."""
