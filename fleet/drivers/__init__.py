"""Real hardware: what stands between `fleet.ports` and a wire. Vendor names stand in `fleet.vendors`, never here."""
